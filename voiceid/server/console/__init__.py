"""The console: pages for people at ``/``, over the same client and the same scopes as ``/v1``.

`visits` knows who asks, guards forms and renders; a module of pages calls the client and shows what
it gives.  The pages are templates, and work without a script but for the microphone.
"""
