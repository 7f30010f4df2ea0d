"""Plain ASGI middleware, one concern a file.

Starlette's BaseHTTPMiddleware hides a client's disconnect from the endpoint, and a turn nobody
reads would then run on.
"""

from __future__ import annotations
