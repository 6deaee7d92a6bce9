"""Everything that can go wrong on the way to an upstream, as one tree.

    UpstreamError                     any other 5xx; the base of all
    ├─ NotAuthenticatedError          no token, or a token that is refused
    ├─ InvalidCredentialsError        wrong e-mail or password at sign-in
    ├─ PermissionDeniedError          known, and not allowed
    ├─ NotFoundError                  the one thing asked for is not there
    ├─ InvalidInputError              the caller can mend it (field, public_message)
    ├─ ConflictError                  something like it exists already (field)
    ├─ RateLimitedError               too many calls (retry_after_s)
    ├─ TooManyCallsError              one operation would need too many calls
    ├─ UpstreamUnavailableError       not reachable or not ready
    │  ├─ UpstreamTimeoutError        no answer in time
    │  └─ VaultUnavailableError       the session store, not an upstream
    ├─ UpstreamMisconfiguredError     the operator must mend it
    └─ UpstreamResponseError          the answer makes no sense

Raised by the clients and by `session/`; translated once, in `schema/`. `message` is
for our log and may quote the upstream (cut to 300 characters): it is never shown to
a client. What may be shown is `InvalidInputError.public_message`, written by us.

`outcome_unknown` is true when the call was a write that may have been carried out all
the same: it must be looked up (`resolvers/outcomes.py`), not repeated.
"""

from typing import Final, Literal, TypedDict, Unpack

Service = Literal["flux", "conduit", "vault"]

# Enough to recognise a failure in a log, too little to flood one.
MESSAGE_LIMIT: Final = 300


class Origin(TypedDict, total=False):
    """Where a failure comes from; the keyword arguments that all share."""

    service: Service | None
    operation: str | None
    status: int | None
    upstream_code: str | None


class UpstreamError(Exception):
    """A call to an upstream failed; `message` is for the log only."""

    def __init__(
        self,
        message: str,
        *,
        service: Service | None = None,
        operation: str | None = None,
        status: int | None = None,
        upstream_code: str | None = None,
    ) -> None:
        self.message = message[:MESSAGE_LIMIT]
        super().__init__(self.message)
        self.service = service
        self.operation = operation
        self.status = status
        self.upstream_code = upstream_code
        self.outcome_unknown = False


class NotAuthenticatedError(UpstreamError):
    """Nobody is signed in, or the upstream refuses the token."""


class InvalidCredentialsError(UpstreamError):
    """The e-mail address or the password is wrong."""


class PermissionDeniedError(UpstreamError):
    """The upstream knows who asks and does not allow it."""


class NotFoundError(UpstreamError):
    """The one thing that was asked for does not exist, or is hidden."""


class InvalidInputError(UpstreamError):
    """The input cannot be accepted; `public_message` is safe to show."""

    def __init__(
        self,
        message: str,
        *,
        public_message: str = "The input is not valid.",
        field: str | None = None,
        **origin: Unpack[Origin],
    ) -> None:
        super().__init__(message, **origin)
        self.public_message = public_message
        self.field = field


class ConflictError(UpstreamError):
    """Something with the same unique value exists already."""

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        **origin: Unpack[Origin],
    ) -> None:
        super().__init__(message, **origin)
        self.field = field


class RateLimitedError(UpstreamError):
    """Too many calls; `retry_after_s` is the upstream's word, if it gave one."""

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        **origin: Unpack[Origin],
    ) -> None:
        super().__init__(message, **origin)
        self.retry_after_s = retry_after_s


class TooManyCallsError(UpstreamError):
    """One operation would need more upstream calls than it may make."""


class UpstreamUnavailableError(UpstreamError):
    """The upstream cannot be reached or is not ready."""

    def __init__(
        self,
        message: str,
        *,
        outcome_unknown: bool = False,
        **origin: Unpack[Origin],
    ) -> None:
        super().__init__(message, **origin)
        self.outcome_unknown = outcome_unknown


class UpstreamTimeoutError(UpstreamUnavailableError):
    """No answer in time: ours (deadline, time-outs) or the upstream's own."""


class VaultUnavailableError(UpstreamUnavailableError):
    """The session store cannot be reached."""


class UpstreamMisconfiguredError(UpstreamError):
    """The upstream is not set up as we need it, or our settings do not fit it."""


class UpstreamResponseError(UpstreamError):
    """The answer is not what the upstream's contract promises."""
