"""Routes behind the server's door, without the rest of the server."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from server.door import Door
from server.guard import Guard
from server.settings import GuardSettings
from session.cookie import CookieSettings, SessionCookie

COOKIE = CookieSettings(
    passwords={"1": "kq3J0x7VbP1mZr9YtW5nH2cL8dF4gS6a"}, secure=False
)
GUARD = GuardSettings(
    cors_origins=frozenset(), max_body_bytes=1024, body_s=1, trusted_proxy_hops=0
)


def behind_the_door(*routes: Route, cookie: SessionCookie | None = None) -> Starlette:
    """An application; `cookie` reads and writes its sessions."""
    door = Middleware(
        Door,
        cookie=cookie or SessionCookie(COOKIE),
        guard=Guard(GUARD, cookie_name=COOKIE.name),
        production=False,
    )
    return Starlette(routes=routes, middleware=[door])
