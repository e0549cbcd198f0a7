"""The ASGI API: routes, bodies, replies."""
