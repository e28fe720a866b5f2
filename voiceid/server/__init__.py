"""The service: HTTP and WebSockets over one `VoiceID`, thin as the command line is.

``/v1`` has the names of the library and of the commands.  `application` puts it together; a module
of routes parses a request, calls one method of the client, and renders what it gives.
"""
