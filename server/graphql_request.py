"""From HTTP to one GraphQL request, or a refusal that says what is wrong.

Pure functions, called by `graphql.py`. Follows the GraphQL-over-HTTP specification:
POST with a JSON object, GET with query parameters. Lists (batching) are refused: one
request is one operation, so limits and deadlines mean what they say.
"""

import json
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl

import msgspec
import orjson

from .media_types import JSON
from .refusals import RefusalCode, RefusalError, bad_request

JSON_TYPE: Final = JSON.encode()

_NAMES: Final = ("query", "variables", "operationName", "extensions", "documentId")


class GraphQLRequest(msgspec.Struct, frozen=True):
    query: str
    variables: dict[str, object] | None
    operation_name: str | None
    extensions: dict[str, object] | None
    # `query` is empty when the document is only named; see trusted_documents.py.
    document_id: str | None = None
    trusted: bool = False

    def __repr__(self) -> str:
        """Without the values, a password among them."""
        return f"<GraphQLRequest {self.operation_name!r}>"


def from_body(content_type: bytes | None, body: bytes) -> GraphQLRequest:
    """Read a POST. Raises: RefusalError 400, 415."""
    if content_type != JSON_TYPE:  # nearly all say it so
        _check_content_type((content_type or b"").decode("latin-1"))
    found = strict_json(body, otherwise=_why_not_json)
    if isinstance(found, dict):
        return from_parameters(found)
    if isinstance(found, list):
        raise bad_request("Batching is not supported: send one JSON object.")
    raise bad_request("The body must be a JSON object.")


def from_query_string(query_string: bytes) -> GraphQLRequest:
    """Read a GET. Raises: RefusalError 400."""
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=32,
        )
    except ValueError:  # UnicodeDecodeError is one
        raise bad_request("The query string is not valid UTF-8.") from None
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise bad_request("A query parameter is given twice.")
    parameters: dict[str, object] = dict(pairs)
    for name in ("variables", "extensions"):
        if name in parameters:
            parameters[name] = _json_parameter(name, str(parameters[name]))
    return from_parameters(parameters)


def _check_content_type(content_type: str) -> None:
    media_type, _, rest = content_type.partition(";")
    charset = rest.partition("charset=")[2].strip().strip('"').lower()
    if media_type.strip().lower() != JSON or charset not in ("", "utf-8", "utf8"):
        raise RefusalError(
            415,
            RefusalCode.UNSUPPORTED_MEDIA_TYPE,
            "Send Content-Type: application/json, in UTF-8.",
            headers={"accept-post": JSON},
        )


def strict_json(text: bytes, *, otherwise: Callable[[bytes], str]) -> object:
    """Strict JSON in which no object has two members of one name.

    orjson is the strict one (UTF-8, no NaN) but takes the last of equal names; a proxy
    in front may have checked the first. It writes no more than 254 levels, which is the
    bound here. Raises: RefusalError 400.
    """
    try:
        found: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise bad_request(otherwise(text)) from None
    try:
        colons = orjson.dumps(found).count(b":")
    except orjson.JSONEncodeError:
        raise bad_request("The JSON is nested too deeply.") from None
    # A member that was dropped took a colon with it. (An escaped one, `\u003a`, is
    # no colon in the text.) The standard library's look takes four times as long.
    if text.count(b":") != colons or b"\\u003" in text:
        # Not `decode`: it looks again for what may stand behind the value.
        _UNIQUE_NAMES.raw_decode(text.decode().lstrip())
    return found


def _unique(members: list[tuple[str, object]]) -> None:
    if len(dict(members)) < len(members):
        raise bad_request("A name stands twice in one JSON object.")


_UNIQUE_NAMES: Final = json.JSONDecoder(object_pairs_hook=_unique)


def _why_not_json(body: bytes) -> str:
    if not body.strip():
        return "The body is empty; it must be a JSON object."
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return "The body is not valid UTF-8."
    return "The body is not valid JSON, or it is nested too deeply."


def _json_parameter(name: str, text: str) -> object:
    if not text:
        return None
    return strict_json(
        text.encode(), otherwise=lambda _: f"The parameter {name!r} is not valid JSON."
    )


def from_parameters(parameters: Mapping[str, object]) -> GraphQLRequest:
    """The request in a JSON object. Raises: RefusalError 400."""
    query, variables, operation_name, extensions, document_id = map(
        parameters.get, _NAMES
    )
    if extensions is not None and not isinstance(extensions, dict):
        raise _not_a_map("extensions")
    if document_id is not None and not isinstance(document_id, str):
        raise bad_request("The parameter 'documentId' must be a text or null.")
    named = document_id or (extensions and "persistedQuery" in extensions)
    if named and "query" not in parameters:
        query = ""
    if query is None:
        raise bad_request("The parameter 'query' is missing.")
    if not isinstance(query, str) or not (query.strip() or named):
        raise bad_request("The parameter 'query' must be a text that is not empty.")
    if "\0" in query:
        raise bad_request("The parameter 'query' holds a NUL character.")
    if operation_name is not None and not isinstance(operation_name, str):
        raise bad_request("The parameter 'operationName' must be a text or null.")
    if variables is not None and not isinstance(variables, dict):
        raise _not_a_map("variables")
    return GraphQLRequest(
        query=query,
        variables=variables,
        operation_name=operation_name,
        extensions=extensions,
        document_id=document_id or None,
    )


def _not_a_map(name: str) -> RefusalError:
    return bad_request(f"The parameter {name!r} must be an object or null.")
