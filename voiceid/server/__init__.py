"""The service: a thin layer of HTTP and WebSockets over one `VoiceID`, like the command line.

``/v1`` has the names of the library and of the commands.  `application` builds it; a module of
routes parses a request, calls one method of the client, and renders its result.
"""
