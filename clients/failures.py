"""How a refusal becomes an exception: the machinery that both tables share.

The tables are `clients/flux/failures.py` and `clients/conduit/failures.py`: they say
which answer means what, and each row names the recording that shows it.
"""

import math
from dataclasses import dataclass
from typing import Final

from .errors import (
    ConflictError,
    InvalidInputError,
    RateLimitedError,
    UpstreamError,
    UpstreamUnavailableError,
)
from .http import Response

JSON_TYPE: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Failure:
    """One row: what is seen, what it means, where it was recorded.

    `key` is compared as the table says; `status` narrows it if given.
    `public_message` is only for `InvalidInputError`, `unknown` marks an answer after
    which a write may have been carried out all the same, `hint` is for the operator.
    """

    key: str
    kind: type[UpstreamError]
    recording: str
    status: int | None = None
    public_message: str = "This value is not accepted."
    unknown: bool = False
    hint: str = ""


def raised_by(
    failure: Failure,
    response: Response,
    *,
    upstream_code: str | None = None,
    field: str | None = None,
) -> UpstreamError:
    """The exception for a row, with the upstream's own text in its message only."""
    hint = f" [{failure.hint}]" if failure.hint else ""
    error = failure.kind(
        f"{response.operation}: {response.status}{hint}: {response.preview()}",
        service=response.service,
        operation=response.operation,
        status=response.status,
        upstream_code=upstream_code,
    )
    if isinstance(error, InvalidInputError):
        error.public_message = failure.public_message
        error.field = field
    elif isinstance(error, ConflictError):
        error.field = field
    elif isinstance(error, RateLimitedError):
        error.retry_after_s = retry_after_s(response)
    elif isinstance(error, UpstreamUnavailableError):
        error.outcome_unknown = failure.unknown and response.writes
    return error


def retry_after_s(response: Response) -> float | None:
    """The wait that the upstream asks for in whole seconds, if it names one."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdecimal() and math.isfinite(float(value)) else None
