"""What the stand-in refuses with: Conduit's families of error bodies.

Raised anywhere below `router.py`, which alone turns them into answers. Relies on
"Error bodies" in section 1 of conduit.md.
"""

_NAMES = {
    400: "INVALID_ARGUMENTS",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    429: "RATE_LIMIT",
    500: "INTERNAL_SERVER_ERROR",
}


class ModuleError(Exception):
    """A module's JSON refusal; anything that is not 400, 401, 403 or 404 is a 500."""

    def __init__(self, status: int, message: str, conduit_code: str | None = None):
        super().__init__(message)
        self.status = status
        self.message = message
        self.conduit_code = conduit_code

    def body(self) -> dict[str, object]:
        """The JSON body."""
        body: dict[str, object] = {
            "name": _NAMES[self.status],
            "status": self.status,
            "message": self.message,
        }
        if self.conduit_code:
            body["conduitCode"] = self.conduit_code
        return body


class BadParametersError(Exception):
    """A missing or wrong-typed parameter: an HTML page without a word of detail."""


class MiddlewareError(Exception):
    """A plain text sent as HTML, before any route is reached."""

    def __init__(self, status: int, text: str, *, parsing: bool = False):
        super().__init__(text)
        self.status = status
        self.text = text
        self.parsing = parsing  # raised before CORS and the hiding of x-powered-by


class NoAnswerError(Exception):
    """Nothing is ever sent back; only the client can end it."""


def invalid_uuid(value: str, prefix: str = "") -> ModuleError:
    """PostgreSQL's words about an id that is none."""
    return ModuleError(500, f'{prefix}invalid input syntax for type uuid: "{value}"')
