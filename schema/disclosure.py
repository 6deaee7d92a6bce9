"""What a stranger may learn of the schema: nothing, where introspection is off.

What `build.py` takes in the place of `errors.translate` when the schema is not to be
revealed. Names in mistakes of validation spell the schema out as well as
introspection does (tools guess names by the thousand and read which are refused, or
suggested), so all of them become one sentence; what was wrong goes to our log under
the request id. Elsewhere, as in the coercion of variables, only the suggestions are
cut off.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from typing import Final

from graphql import GraphQLError

from .errors import ErrorCode, translate

UNFIT: Final = "The document does not fit the schema."
_SUGGESTION: Final = re.compile(r"\s*Did you mean .*?\?(?=\s|$)", re.DOTALL)

log = logging.getLogger("mainstem.graph")


def translate_discreetly(
    errors: Iterable[Exception], *, request_id: str, refused: bool = False
) -> list[GraphQLError]:
    """`translate`, with the schema's names taken out of what graphql-core says."""
    return _discreet(translate(errors, request_id=request_id, refused=refused))


def without_suggestion(message: str) -> str:
    """The message without graphql-core's "Did you mean …?"."""
    return _SUGGESTION.sub("", message)


def _discreet(errors: Sequence[GraphQLError]) -> list[GraphQLError]:
    kept: list[GraphQLError] = []
    unfit: list[GraphQLError] = []
    for error in errors:
        code = (error.extensions or {}).get("code")
        is_unfit = code == ErrorCode.GRAPHQL_VALIDATION_FAILED
        (unfit if is_unfit else kept).append(error)
    found = [_quiet(error) for error in kept]
    if unfit:
        extensions = unfit[0].extensions or {}
        request_id = extensions.get("requestId")
        mistakes = "; ".join(error.message for error in unfit)[:1000]
        log.info("document refused in request %s: %s", request_id, mistakes)
        found.append(GraphQLError(UNFIT, extensions=extensions))
    return found


def _quiet(error: GraphQLError) -> GraphQLError:
    message = without_suggestion(error.message)
    if message == error.message:
        return error
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions=error.extensions,
    )
