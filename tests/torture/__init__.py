"""Tries to break a gallery, and counts what breaks: `make torture`, and a short run in the tests.

`crashes` kills processes in the middle of changes and of index files, `crowd` has sixteen work
on one database at once, `fuzz` feeds damaged files to every reader of files.  All else is as in
production: `VoiceID` itself, real processes, real files; only the embeddings are not made from
audio, which would cost time and break nothing.
"""
