"""What an access token says of itself, whoever made it."""

import base64

import pytest

from session.records import AccessClaims


def token(payload: bytes) -> str:
    return f"e30.{base64.urlsafe_b64encode(payload).decode().rstrip('=')}.signature"


@pytest.mark.parametrize(
    ("payload", "claims"),
    [
        (b'{"id":"a","iat":1,"exp":2.5,"sudo":[{}]}', AccessClaims("a", 1.0, 2.5)),
        (
            b'{"id":"\xc3\xbf\xc3\xbe?","exp":1e9}',
            AccessClaims("\u00ff\u00fe?", None, 1e9),
        ),
        (b'{"id":"a","id":"b"}', AccessClaims("b")),
        (b'{"id":"","iat":true,"exp":2}', AccessClaims(None, None, 2.0)),
        (b'{"id":7,"iat":"1","exp":null}', AccessClaims()),
        (b'{"id":"a","name":"\\ud800"}', AccessClaims("a")),
        (b'["id"]', AccessClaims()),
        (b'{"id":"a"', AccessClaims()),
        (b"", AccessClaims()),
    ],
)
def test_claims_are_told_one_by_one_and_only_of_their_type(
    payload: bytes, claims: AccessClaims
) -> None:
    assert AccessClaims.of(token(payload)) == claims


@pytest.mark.parametrize("text", ["", "a", "a.b", "a.\u00e4.c", "a.e30", "a.!!!!.c"])
def test_what_is_no_token_claims_nothing(text: str) -> None:
    assert AccessClaims.of(text) == AccessClaims()
