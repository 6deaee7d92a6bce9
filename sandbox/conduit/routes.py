"""What a module tells the router about one of its routes.

The modules (`authentication.py`, `database.py`, `endpoints.py`, `storage.py`,
`authorization.py`) make `Route`s; `router.py` and `graphql.py` call them.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .declarations import Document, Input


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request, once the token is checked."""

    user: Document
    claims: Mapping[str, Any]
    token: str

    @property
    def id(self) -> str:
        """The user's id."""
        return str(self.user["_id"])


@dataclass(frozen=True, slots=True)
class Call:
    """One request as a module sees it."""

    segments: tuple[str, ...]
    parameters: Mapping[str, Any]
    caller: Caller | None
    client_id: str
    headers: Mapping[str, str]
    # What GraphQL's selection or REST's parameter wants embedded.
    populate: tuple[str, ...] = ()

    @property
    def user_id(self) -> str:
        """The caller's id on a route that needs a token."""
        if self.caller is None:
            raise RuntimeError("a route without a caller asked for one")
        return self.caller.id


@dataclass(frozen=True, slots=True)
class Redirect:
    """A 302."""

    url: str


@dataclass(frozen=True, slots=True)
class WithCookies:
    """A body with Set-Cookie headers."""

    body: object
    cookies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RouteLimit:
    """So many requests of one address in a window, for one route alone."""

    requests: int
    window_s: float


Handler = Callable[[Call], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Route:
    """A route; `path` segments that start with `:` are parameters.

    `token`: "required" refuses with 401, "optional" goes on without a caller when it
    does not hold, "open" does not look at it.
    """

    method: str
    path: str
    handler: Handler
    inputs: tuple[Input, ...] = ()
    token: Literal["required", "optional", "open"] = "required"
    cached: bool = False
    limit: RouteLimit | None = None
    # GraphQL only: the field returns a bare list, which it cannot show.
    bare_list: bool = False
    segments: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", tuple(self.path.strip("/").split("/")))
