"""The HTTP status of an operation's answer, by media type and profile.

Called by `graphql.py`. `application/json` is 200 for every well-formed request, since
older clients take anything else for a broken line. For `application/
graphql-response+json` there are two profiles:

* `audit`: what GraphQL over HTTP says today and graphql-http's audit checks: 400 when
  the operation never ran, else 200.
* `draft`: the draft of 2026: 400 for a document that does not parse, 422 for one that
  parses and cannot run, 294 (partial success) for data with errors.
"""

from collections.abc import Mapping
from typing import Final, Literal

StatusProfile = Literal["audit", "draft"]

PARTIAL_SUCCESS: Final = 294

# What the request cannot help has a status of its own in both profiles.
_BY_CODE: Final = {"RATE_LIMITED": 429, "INTERNAL_SERVER_ERROR": 500}


def status_of(
    payload: Mapping[str, object], codes: list[str], profile: StatusProfile
) -> int:
    """Of a `graphql-response+json` whose errors have these codes."""
    if "data" in payload:
        partial = profile == "draft" and "errors" in payload
        return PARTIAL_SUCCESS if partial else 200
    if codes and codes[0] in _BY_CODE:
        return _BY_CODE[codes[0]]
    unparsed = "GRAPHQL_PARSE_FAILED" in codes
    return 400 if profile == "audit" or unparsed else 422
