"""Bad input gets a clear error with the code of the table, never a 500."""

import pytest

from harness import Caller, Sandbox

PAGES = pytest.mark.parametrize(
    "arguments",
    [
        "first: -1",
        "first: 101",
        "last: 101",
        "first: 2, last: 2",
        'first: 2, before: "x"',
        'after: "not a cursor"',
        'after: ""',
        'first: 2, after: "AAAA"',
        'filter: { postId: "no-id" }',
        'filter: { createdAfter: "yesterday" }',
        'filter: { createdAfter: "2026-01-01T00:00:00" }',
    ],
)


@PAGES
async def test_bad_page_arguments_are_bad_user_input_without_any_call(
    first: Caller, sandbox: Sandbox, arguments: str
) -> None:
    response = await first.post(
        {"query": f"{{ notes({arguments}) {{ nodes {{ id }} }} }}"}
    )
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] in {"BAD_USER_INPUT"}
    assert response.status_code in {200, 400}
    assert sandbox.calls() == []


async def test_a_cursor_of_another_order_is_refused(first: Caller) -> None:
    data = await first.data("{ notes(first: 1) { pageInfo { endCursor } } }")
    cursor = data["notes"]["pageInfo"]["endCursor"]
    answer = await first(
        """query ($after: String) {
          notes(after: $after, orderBy: { direction: ASC }) { nodes { id } }
        }""",
        after=cursor,
    )
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize("field", ["note", "post", "file", "node"])
@pytest.mark.parametrize("bad", ["", "nonsense", "' or 1=1", "Tm90ZTp4", "🜁"])
async def test_a_malformed_id_is_bad_user_input_without_any_call(
    first: Caller, sandbox: Sandbox, field: str, bad: str
) -> None:
    answer = await first(f"query ($id: ID!) {{ {field}(id: $id) {{ id }} }}", id=bad)
    assert answer["data"] == {field: None}
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert sandbox.calls() == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ notes(", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ notes(orderBy: { field: SIZE }) { nodes { id } } }", None),
        ("{ notes(first: true) { nodes { id } } }", None),
    ],
)
async def test_documents_that_do_not_fit_are_told_with_a_code(
    first: Caller, query: str, code: str | None
) -> None:
    response = await first.post({"query": query})
    found = response.json()["errors"][0]["extensions"]["code"]
    assert response.status_code in {200, 400}
    assert found == code or (
        code is None and found in {"GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT"}
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b'"text"',
        b"[]",
        b'[{"query":"{__typename}"}]',
        b'{"query":7}',
        b'{"query":"{__typename}","variables":"x"}',
        b'{"query":"{__typename}","operationName":3}',
        b"\xff\xfe",
        b'{"query":"{__typename}\\u0000"}',
        b"[" * 100_000,
        b"{}",
    ],
)
async def test_a_body_that_is_no_operation_is_a_400_with_a_code(
    anonymous: Caller, body: bytes
) -> None:
    response = await anonymous.http.post(
        "/graphql", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code == 400, response.text
    assert response.json()["errors"][0]["extensions"]["code"]


@pytest.mark.parametrize(
    "cookie",
    [
        "x",
        "Fe26.2*1*a*b*c**d*e~2",
        "Fe26.2*9*" + "0" * 64 + "*AAAA*AAAA**" + "0" * 64 + "*AAAA~2",
        "%00",
        "A" * 5000,
    ],
)
async def test_a_forged_cookie_reads_as_signed_out(
    anonymous: Caller, sandbox: Sandbox, cookie: str
) -> None:
    response = await anonymous.post(
        {"query": "{ viewer { email } notes { nodes { id } } }"},
        headers={"cookie": f"conduit_session={cookie}"},
    )
    answer = response.json()
    assert response.status_code == 200
    assert answer["data"] == {"viewer": None, "notes": None}
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert sandbox.calls() == []
