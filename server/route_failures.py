"""Failures of an upstream as answers of plain routes: preview and uploads.

The same exceptions as in the graph, told by an HTTP status; codes and words are those
of `schema/errors.py`, so docs/errors.md holds for both.
"""

import math
from typing import Final

from clients.errors import (
    ConflictError,
    InvalidInputError,
    NotAuthenticatedError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    UpstreamError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from schema.errors import details_of, row_of

from .refusals import RefusalError

RATE_LIMIT_WAIT_S: Final = 1.0

# The first row that fits counts: a subclass stands before its base.
STATUSES: Final[tuple[tuple[type[UpstreamError], int], ...]] = (
    (NotAuthenticatedError, 401),
    (PermissionDeniedError, 403),
    (NotFoundError, 404),
    (ConflictError, 409),
    (InvalidInputError, 400),
    # 503 and not 429: the budget belongs to all, not to the one who asks.
    (RateLimitedError, 503),
    (UpstreamTimeoutError, 504),
    (UpstreamUnavailableError, 503),
    (UpstreamError, 502),
)


def refusal_for(error: UpstreamError) -> RefusalError:
    """The answer to a failure; nothing of the upstream's text is in it."""
    status = next(status for kind, status in STATUSES if isinstance(error, kind))
    row = row_of(error)
    headers = {}
    message = row.message
    if isinstance(error, RateLimitedError):
        wait_s = error.retry_after_s or RATE_LIMIT_WAIT_S
        headers["retry-after"] = str(math.ceil(wait_s))
    if isinstance(error, InvalidInputError):
        message = error.public_message
    refusal = RefusalError(status, row.code, message, headers=headers)
    refusal.details = details_of(error)
    return refusal
