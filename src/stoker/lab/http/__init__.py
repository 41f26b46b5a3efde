"""The wire: an ASGI application around the API, and the server that runs it on loopback."""
