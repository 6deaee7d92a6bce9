"""Checks what a client wrote before it is sent on. Used by the domain resolvers."""

from typing import Final

from clients.errors import InvalidInputError

# A search travels in a URL, which is bounded upstream (flux.md §13.1, conduit.md §8).
MAX_SEARCH_LENGTH: Final = 200

# Neither database has a bound; a person has.
MAX_TEXT_LENGTH: Final = 100_000


def refused(field: str, message: str) -> InvalidInputError:
    """An error that shows `message` to the person and names the field at fault."""
    return InvalidInputError(message, public_message=message, field=field)


def storable(value: str, *, field: str, longest: int) -> str:
    """Text that both databases can hold. Raises: InvalidInputError."""
    if len(value) > longest:
        raise refused(field, f"{field} must not be longer than {longest} characters.")
    if "\0" in value or _has_surrogate(value):
        raise refused(field, f"{field} holds characters that cannot be stored.")
    return value


def text(value: str, *, field: str) -> str:
    """A text of any length that makes sense. Raises: InvalidInputError."""
    return storable(value, field=field, longest=MAX_TEXT_LENGTH)


def search(value: str | None, *, field: str) -> str | None:
    """A text to search for; an empty one is no condition. Raises: InvalidInputError."""
    if not value:
        return None
    return storable(value, field=field, longest=MAX_SEARCH_LENGTH)


def scope(value: str) -> str:
    """What row-level authorization is asked about. Raises: InvalidInputError."""
    return storable(value, field="scope", longest=MAX_SEARCH_LENGTH)


def _has_surrogate(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False
