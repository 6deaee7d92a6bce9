"""No name stands twice in the JSON of a request."""

import json

import pytest

from server.graphql_request import from_body, strict_json
from server.refusals import RefusalError

PLAIN = [
    b'{"query":"query($rows:Int!){posts(first:$rows){id}}","variables":{"rows":20}}',
    b'{"a" : {"b:": ":", ":": [{"c":1},{"c":1}]}, "b":"\\":", "c": ["::"]}',
    b"[]",
    b'":"',
    b'{"a":"\\u003a","\\u003a":1}',
]
# The last of each is lost; colons and escapes stand where they could hide it.
TWICE = [
    b'{"a":1,"a":1}',
    b'{"a":1,"a" :"\\u003a"}',
    b'{"a":{"a":1,"a":2}}',
    b'{"b":[{"a:":1,"a:":2}]}',
    b'{"a":"::","a":""}',
    b'{"a":"","a":":"}',
    b'{"a":{"b":{}},"a":{"c":"\\u003a\\u003a"}}',
    b'{"a":1,"\\u0061":2}',
    b'{"a":' + b"[" * 600 + b"]" * 600 + b',"a":1}',
]


def strictly(text: bytes) -> object:
    return strict_json(text, otherwise=lambda _: "no JSON")


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_an_empty_body_is_told_from_one_that_is_no_json(body: bytes) -> None:
    with pytest.raises(RefusalError, match="empty"):
        from_body(b"application/json", body)


def test_a_request_does_not_show_its_variables() -> None:
    body = b'{"query":"mutation In($p:String!){x}","variables":{"p":"secret"}}'
    request = from_body(b"application/json", body)
    assert request.variables == {"p": "secret"}
    assert "secret" not in repr(request)


@pytest.mark.parametrize("text", PLAIN)
def test_what_names_each_member_once_is_read(text: bytes) -> None:
    assert strictly(text) == json.loads(text)


@pytest.mark.parametrize("text", TWICE, ids=range(len(TWICE)))
def test_what_names_a_member_twice_is_refused(text: bytes) -> None:
    with pytest.raises(RefusalError, match="twice"):
        strictly(text)


def test_more_than_254_levels_are_refused_on_every_python() -> None:
    assert strictly(b"[" * 254 + b"]" * 254)
    assert strictly(b'{"a":' * 253 + rb'["\u003a"]' + b"}" * 253)
    with pytest.raises(RefusalError):
        strictly(b"[" * 255 + b"]" * 255)
