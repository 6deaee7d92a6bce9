"""The dialect: values, conditions and targets as text, as they were recorded."""

import json
import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.errors import InvalidInputError, UpstreamResponseError
from clients.flux import postgrest
from clients.keyset import Keyset

RECORDINGS = Path(__file__).parents[2] / "recordings" / "flux"


def recorded(file: str, name: str) -> dict[str, dict[str, str]]:
    exchanges = json.loads((RECORDINGS / f"{file}.json").read_text())["exchanges"]
    return next(exchange for exchange in exchanges if exchange["name"] == name)


def sent(target: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(target).query, keep_blank_values=True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", '"plain"'),
        ("", '""'),
        (" a ", '" a "'),
        ("a,b.c:d(e)", '"a,b.c:d(e)"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ('\\"', '"\\\\\\""'),
        ("2026-01-01T00:10:00.123456+00:00", '"2026-01-01T00:10:00.123456+00:00"'),
    ],
)
def test_quotes_a_value_of_a_list(value: str, expected: str) -> None:
    assert postgrest.quoted(value) == expected


def test_quotes_as_the_recording_does() -> None:
    value = 'comma, paren ) and "quote" and back\\slash'
    query = unquote(recorded("02-filters", "or with quoted value")["request"]["query"])
    assert f"body.eq.{postgrest.quoted(value)}," in query


@given(st.text())
def test_a_quoted_value_reads_back_as_itself(value: str) -> None:
    inner = postgrest.quoted(value)[1:-1]
    assert re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL) == value
    assert re.search(r'(?<!\\)(?:\\\\)*"', inner) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words", "imatch.plain words"),
        ("*star*", r"imatch.\*star\*"),
        ("50% off_now", "imatch.50% off_now"),
        ("back\\slash", r"imatch.back\\slash"),
        ("a.b+c?", r"imatch.a\.b\+c\?"),
        ("(x)[y]{z}", r"imatch.\(x\)\[y\]\{z\}"),
        ("^a|b$", r"imatch.\^a\|b\$"),
        ("***:director", r"imatch.\*\*\*:director"),
        ('"quoted", too', 'imatch."quoted", too'),
        ("ümläut 日本", "imatch.ümläut 日本"),
        ("two\nlines", "imatch.two\nlines"),
    ],
)
def test_searches_for_text_literally(text: str, expected: str) -> None:
    assert postgrest.contains("body", text, field="f") == ("body", expected)


def test_searches_for_a_star_as_the_recording_does() -> None:
    query = recorded("02-filters", "imatch regex for a literal star")["request"]
    assert ("body", postgrest.contains("body", "*star*", field="f")[1]) in parse_qsl(
        query["query"]
    )


# Python's expressions and PostgreSQL's agree on escaped punctuation.
@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])))
def test_a_search_pattern_finds_its_own_text(text: str) -> None:
    _, value = postgrest.contains("body", text, field="f")
    assert re.fullmatch(value.removeprefix("imatch."), text)


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "x" * 4001, "日" * 500])
def test_text_that_cannot_be_searched_for_is_the_caller_s_mistake(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        postgrest.contains("body", text, field="bodyContains")
    assert caught.value.field == "bodyContains"
    assert text not in caught.value.public_message


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00%2B00:00"),
        ("a&b#c%d", "a%26b%23c%25d"),
        ('"q"', "%22q%22"),
        ("a b", "a%20b"),
        ("ü", "%C3%BC"),
        ("a,b", "a%2Cb"),
        ("in.(x)", "in.(x)"),
        ("/\\=;", "%2F%5C%3D%3B"),
    ],
)
def test_encodes_for_the_query(value: str, expected: str) -> None:
    assert postgrest.encoded(value) == expected


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_encoded_arrives_as_it_was(value: str) -> None:
    target = postgrest.target(
        "/t", columns=frozenset({"id"}), conditions=[("c", f"eq.{value}")]
    )
    assert sent(target) == [("select", "id"), ("c", f"eq.{value}")]


@pytest.mark.parametrize(
    ("descending", "name"), [(True, "page around equal timestamps")]
)
def test_a_keyset_says_what_the_recording_says(descending: bool, name: str) -> None:
    place = Keyset(
        "2026-01-01T00:10:00.123456+00:00", "00000000-0000-4000-8000-000000000011"
    )
    target = postgrest.target(
        "/notes",
        columns=frozenset({"id", "created_at"}),
        conditions=[postgrest.beyond(place, descending=descending)],
        order=postgrest.order_by_creation(descending=descending),
        limit=3,
    )
    query = recorded("14-keyset", name)["request"]["query"]
    wanted = dict(parse_qsl(query)) | {"select": "created_at,id"}
    assert {k: v.replace('"', "") for k, v in sent(target)} == wanted


def test_a_keyset_the_other_way_round_asks_for_greater() -> None:
    column, value = postgrest.beyond(Keyset("T", "I"), descending=False)
    assert column == "or"
    assert value == '(created_at.gt."T",and(created_at.eq."T",id.gt."I"))'
    assert postgrest.order_by_creation(descending=False) == "created_at.asc%2Cid.asc"


def test_a_forged_cursor_cannot_leave_its_quotes() -> None:
    place = Keyset('x"),body.neq.(', "i")
    _, value = postgrest.beyond(place, descending=True)
    assert value.count(r"\"") == 2
    assert value.startswith(r'(created_at.lt."x\"),body.neq.(",and(')


def test_columns_are_in_one_order_whatever_the_set() -> None:
    columns = frozenset({"updated_at", "id", "body", "post_id", "created_at"})
    assert sent(postgrest.target("/t", columns=columns)) == [
        ("select", "body,created_at,id,post_id,updated_at")
    ]


@pytest.mark.parametrize(
    ("other", "budget", "expected"),
    [(0, 7000, 150), (1300, 7000, 146), (60, 3000, 75), (7000, 7000, 1)],
)
def test_as_many_ids_as_fit(other: int, budget: int, expected: int) -> None:
    assert postgrest.ids_that_fit(other, budget) == expected


@pytest.mark.parametrize(
    ("header", "total"), [("0-24/25", 25), ("*/0", 0), ("*/25", 25), ("0-1/1310", 1310)]
)
def test_reads_the_total(header: str, total: int) -> None:
    assert postgrest.total_of({"content-range": header}) == total


@pytest.mark.parametrize("header", ["0-24/*", "*/*", "", "junk", "0-1/-1"])
def test_no_total_where_one_was_asked_for_is_a_bad_answer(header: str) -> None:
    with pytest.raises(UpstreamResponseError):
        postgrest.total_of({"content-range": header})


@pytest.mark.parametrize(
    ("method", "header"),
    [
        ("GET", "Accept-Profile"),
        ("HEAD", "Accept-Profile"),
        ("POST", "Content-Profile"),
        ("PATCH", "Content-Profile"),
        ("DELETE", "Content-Profile"),
    ],
)
def test_the_schema_goes_in_the_header_of_the_method(method: str, header: str) -> None:
    assert postgrest.profile(method, "t_1_api") == {header: "t_1_api"}
    assert postgrest.profile(method, None) == {}
