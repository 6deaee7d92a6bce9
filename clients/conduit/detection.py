"""Looks once, as the server starts, for what this Conduit lacks (conduit.md §12).

Called by `server/app.py`. Asked without a token: a route that is there refuses in JSON
(recording custom_endpoints, "plain, no token"), one that is not is the router's HTML
404. What was not found out here is found out by the first read (`lookups.py`).
"""

from typing import Final

import msgspec

from clients.errors import UpstreamError
from clients.http import CallScope, UpstreamHTTP

from . import lookups
from .calls import FRESH
from .offers import Offers

# Told in the log when it is absent; people have no second way.
_BY_IDS: Final = {
    "GetPostsByIds": "posts are read in a slower way",
    "GetFilesByIds": "files are read in a slower way",
    "GetUsersByIds": "people are known only as authors of posts",
}
# Without it the router knows nothing of the database module yet, and says 404 to all.
_ALWAYS_THERE: Final = "/database/Post"


async def detect(http: UpstreamHTTP, offers: Offers, scope: CallScope) -> None:
    """Four calls, one more where a way is missing; a Conduit that is down tells nothing
    and is no failure here."""
    try:
        if await _is_absent(http, _ALWAYS_THERE, scope):
            return
        absent = [
            name
            for name in _BY_IDS
            if await _is_absent(http, f"/database/function/{name}", scope)
        ]
        for name in absent:
            offers.note_absence(name, _BY_IDS[name])
        if absent and await _is_absent(
            http, lookups.GRAPHQL, scope, method="POST", json={"query": "{__typename}"}
        ):
            offers.note_absence(lookups.GRAPHQL, "what is missing is read one by one")
    except UpstreamError:
        return


async def _is_absent(
    http: UpstreamHTTP,
    target: str,
    scope: CallScope,
    *,
    method: str = "GET",
    json: object = msgspec.UNSET,
) -> bool:
    """Raises: UpstreamError."""
    response = await http.send(
        method,
        target,
        operation="detection",
        scope=scope,
        headers=FRESH,
        json=json,
        idempotent=True,
    )
    return response.status == 404 and response.media_type == "text/html"
