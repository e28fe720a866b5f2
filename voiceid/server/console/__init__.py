"""The console: pages for people at ``/``, over the same client and the same scopes as ``/v1``.

`visits` identifies the visitor, protects forms and renders; a module of pages calls the client and
shows its results.  The pages are templates, and only the microphone needs a script.
"""
