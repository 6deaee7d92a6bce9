"""The input field `idempotencyKey`, the same for every write that makes something."""

from typing import Any

import strawberry


# Any: strawberry types a field of an input by its annotation, not by this value.
def idempotency_key() -> Any:
    """The field; each input type needs one of its own."""
    return strawberry.field(
        default=None,
        description="A text of the client's own, at most 200 characters, new for each "
        "thing to be made (a UUID). Sent again with the same input, it makes nothing "
        "new and returns what the first attempt made.",
    )
