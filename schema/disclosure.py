"""What a stranger may learn of the schema: nothing, where introspection is off.

What `build.py` takes in the place of `errors.translate` when the schema is not to be
revealed. Names in mistakes of validation spell the schema out as well as
introspection does (tools guess names by the thousand and read which are refused, or
suggested), so all of them become one sentence, and those in the value of a variable
one for each variable; what was wrong goes to our log under the request id, without the
values: one of them may be a password. Elsewhere only suggestions are cut off.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from typing import Final

from graphql import GraphQLError

from .errors import ErrorCode, translate

UNFIT: Final = "The document does not fit the schema."
UNFIT_VARIABLE: Final = "The value of the variable {} does not fit its type."
# The second where a variable that may be null stands for a value that may not.
_VARIABLE: Final = re.compile(r"(?:^V|: Expected v)ariable '(\$\w+)'")
_SUGGESTION: Final = re.compile(r"\s*Did you mean .*?(?:\?(?=\s|$)|\Z)", re.DOTALL)
# Where graphql-core begins to quote a value, which goes on to the message's end.
_VALUE: Final = re.compile(r"\b(found:?|represent\b[^:]*:|Value) .*", re.DOTALL)
# A syntax error quotes the document, and the search for suggestions is not linear.
LONGEST_MESSAGE: Final = 1000

log = logging.getLogger("mainstem.graph")


def translate_discreetly(
    errors: Iterable[Exception], *, request_id: str, refused: bool = False
) -> list[GraphQLError]:
    """`translate`, with the schema's names taken out of what graphql-core says."""
    return _discreet(translate(errors, request_id=request_id, refused=refused))


def without_suggestion(message: str) -> str:
    """The message, cut to a bound, without graphql-core's "Did you mean …?"."""
    return _SUGGESTION.sub("", message[:LONGEST_MESSAGE])


def _discreet(errors: Sequence[GraphQLError]) -> list[GraphQLError]:
    shown: list[GraphQLError] = []
    hidden: list[GraphQLError] = []
    said: set[str] = set()
    for error in errors:
        sentence = _sentence_for(error)
        if sentence is None:
            shown.append(_quiet(error))
            continue
        hidden.append(error)
        if sentence not in said:
            said.add(sentence)
            shown.append(GraphQLError(sentence, extensions=error.extensions))
    if hidden:
        request_id = (hidden[0].extensions or {}).get("requestId")
        mistakes = "; ".join(_without_value(error.message) for error in hidden)[:1000]
        log.info("document refused in request %s: %s", request_id, mistakes)
    return shown


def _without_value(message: str) -> str:
    return _VALUE.sub(r"\1 …", message[:LONGEST_MESSAGE])


def _sentence_for(error: GraphQLError) -> str | None:
    """What is said in the place of a message that holds names of the schema."""
    code = (error.extensions or {}).get("code")
    if code == ErrorCode.GRAPHQL_VALIDATION_FAILED:
        return UNFIT
    variable = _VARIABLE.search(error.message[:LONGEST_MESSAGE])
    return UNFIT_VARIABLE.format(variable[1]) if variable else None


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
