"""The rows behind the stub upstream, in the shapes that Flux and Conduit really send.

Called by `stub.py`. Pure and the same in every process: ids are derived from names,
times from one fixed day. Shapes: conduit.md §2 (the user object with its object per
sign-in provider, which `populate` embeds whole), §3, §6 and flux.md §8, §10.
"""

import uuid
from datetime import UTC, datetime, timedelta

USERS = 6
POSTS = 300
NOTES_PER_POST = 6

_NAMESPACE = uuid.UUID("62656e63-686d-6172-8000-000000000000")
_START = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)
_PROVIDERS = (
    *("apple", "bitbucket", "facebook", "figma", "github", "gitlab", "google"),
    *("linkedin", "microsoft", "reddit", "slack", "twitch", "twitter"),
)
_PARAGRAPH = (
    "The gauge below the weir has been read twice a day since 1911, and the column "
    "of figures tells of three floods, two dry summers and a broken clock. "
)

Row = dict[str, object]


def _id(kind: str, number: int) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{kind}/{number}"))


def _conduit_time(number: int) -> str:
    moment = _START + timedelta(minutes=17 * number)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{number % 1000:03}Z"


def _flux_time(number: int) -> str:
    moment = _START + timedelta(minutes=3 * number, microseconds=1 + number * 7)
    return moment.isoformat()


def user(number: int) -> Row:
    no_provider = {"id": None, "token": None, "tokenExpires": None, "data": None}
    return {
        "email": f"person{number}@example.com",
        "username": f"person{number}",
        "active": True,
        "isVerified": False,
        "hasTwoFA": False,
        "isAnonymous": None,
        "twoFaMethod": None,
        "phoneNumber": None,
        "createdAt": _conduit_time(number),
        "updatedAt": _conduit_time(number),
        "_id": _id("user", number),
        "metamask": {"ethPublicAddress": None, "nonce": None},
        **{provider: no_provider for provider in _PROVIDERS},
    }


def file(number: int) -> Row:
    return {
        "_id": _id("file", number),
        "name": f"cover-{number}.png",
        "mimeType": "image/png",
        "folder": "covers/",
        "container": "conduit",
        "size": 4000 + number,
        "isPublic": False,
        "updatedAt": _conduit_time(number),
        "createdAt": _conduit_time(number),
        "alias": None,
        "url": None,
        "sourceUrl": None,
    }


def post(number: int) -> Row:
    """A post whose relations are ids, as without `populate`."""
    return {
        "createdAt": _conduit_time(number),
        "updatedAt": _conduit_time(number),
        "title": f"Post number {number} about the river",
        "body": f"Part {number}. " + _PARAGRAPH * 2,
        "_id": _id("post", number),
        "author": _id("user", number % USERS),
        "coverFile": _id("file", number),
    }


def note(number: int) -> Row:
    """A note about one of the posts; every post has `NOTES_PER_POST` of them.

    The newest notes are about posts that are not among the newest, so that a page of
    both needs those posts by their ids.
    """
    return {
        "id": _id("note", number),
        "body": f"Note {number}: check the dates in the second paragraph.",
        "created_at": _flux_time(number),
        "updated_at": None,
        "owner_id": _id("user", 0),
        "post_id": _id("post", (number + POSTS // 2) % POSTS),
    }


def newest_first(rows: int) -> range:
    """Numbers of a table's rows in the order of its newest-first list."""
    return range(rows - 1, -1, -1)
