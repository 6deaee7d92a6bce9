"""Whether the client API serves the new routes yet.

A definition reaches the router some seconds after it is made; until then its route is
an HTML 404 (conduit.md, section 13). Asked without a token: a route that exists
refuses with a module's JSON, so nothing is read and no person's token is needed.
Used by `command.py`.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping

import httpx

from .admin_api import json_of

INTERVAL_S = 0.5


class RouterError(Exception):
    """The client API could not be asked; the text is for the operator."""


async def silent_routes(
    http: httpx.AsyncClient, routes: Iterable[str], *, wait_s: float
) -> Mapping[str, str]:
    """The routes that do not answer within `wait_s`, with what came instead.

    Raises: RouterError (there is no router, or it asks for a client id).
    """
    deadline = time.monotonic() + wait_s
    silent: Mapping[str, str] = dict.fromkeys(routes, "not asked")
    lost: httpx.HTTPError | None = None
    while True:
        try:
            silent, lost = await _still_silent(http, silent), None
        except httpx.HTTPError as error:
            lost = error
        if not silent or time.monotonic() >= deadline:
            break
        await asyncio.sleep(INTERVAL_S)
    if lost is not None:
        raise RouterError(
            f"The client API cannot be asked at {http.base_url} ({lost!r}); set "
            "CLIENT_BASE_URL to where it is seen from here."
        )
    return silent


async def _still_silent(
    http: httpx.AsyncClient, routes: Iterable[str]
) -> Mapping[str, str]:
    """Ask each once. Raises: httpx.HTTPError, RouterError."""
    answers = {route: _instead(await http.get(route)) for route in routes}
    return {route: text for route, text in answers.items() if text is not None}


def _instead(answer: httpx.Response) -> str | None:
    """None when the route is there. Raises: RouterError."""
    body, status = json_of(answer), answer.status_code
    address = f"{answer.url.scheme}://{answer.url.netloc.decode()}"
    if isinstance(body, dict) and "error" in body:
        raise RouterError(
            f"{address} is the Admin API; CLIENT_BASE_URL must be the client API "
            "(default port 3000)."
        )
    if status == 401 and body is None:
        raise RouterError(
            f"{address} asks for a client id (security.clientValidation); set "
            "CONDUIT_CLIENT_ID and CONDUIT_CLIENT_SECRET."
        )
    # 400: needs no token, but an input. A JSON 404 or 5xx: a module is starting or
    # down. 429: the limit of all who call from this address.
    if status == 400 or (status in (200, 401, 403) and body is not None):
        return None
    return f"status {status}"
