"""The stub upstream: real shapes, no free rides, a true count."""

import http.client
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks import upstream_data
from benchmarks.processes import Program

RECORDINGS = Path(__file__).parent.parent / "recordings"
POSTS = "/database/Post?skip=0&limit=3&sort=-createdAt,-_id"


@pytest.fixture
def stub() -> Iterator[http.client.HTTPConnection]:
    command = [sys.executable, "-m", "benchmarks.stub"]
    with Program("stub", command, pipe=True) as program:
        connection = http.client.HTTPConnection("127.0.0.1", int(program.read_line()))
        yield connection
        connection.close()


def ask(
    stub: http.client.HTTPConnection,
    target: str,
    *,
    method: str = "GET",
    body: object = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, Any]:
    sent = None if body is None else json.dumps(body)
    stub.request(method, target, sent, headers or {"Authorization": "Bearer some"})
    answer = stub.getresponse()
    return answer.status, json.loads(answer.read())


def recorded(file: str, path: str, query: str = "") -> Any:
    """The body of the first good recorded answer of a path."""
    exchanges = json.loads((RECORDINGS / file).read_text())["exchanges"]
    return next(
        exchange["response"]["body"]
        for exchange in exchanges
        if exchange["request"]["path"] == path
        and query in exchange["request"].get("query", "")
        and exchange["response"]["status"] == 200
    )


def test_user_and_file_have_the_members_that_conduit_records(
    stub: http.client.HTTPConnection,
) -> None:
    _, page = ask(stub, f"{POSTS}&populate=author,coverFile")
    document = page["documents"][0]

    user = recorded("conduit/auth.json", "/authentication/user")
    file = recorded("conduit/storage.json", "/storage/file")
    assert document["author"].keys() == user.keys()
    assert document["coverFile"].keys() == file.keys()


def test_lists_have_the_members_that_conduit_records(
    stub: http.client.HTTPConnection,
) -> None:
    _, page = ask(stub, POSTS)
    _, signed_in = ask(stub, "/authentication/local", method="POST", body={})

    assert (
        page.keys() == recorded("conduit/database_read.json", "/database/Post").keys()
    )
    assert len(page["documents"]) == 3
    assert page["count"] == upstream_data.POSTS
    login = recorded("conduit/auth.json", "/authentication/local")
    assert signed_in.keys() == login.keys()


def test_posts_are_newest_first_and_relations_are_ids_unless_populated(
    stub: http.client.HTTPConnection,
) -> None:
    _, page = ask(stub, POSTS)
    times = [document["createdAt"] for document in page["documents"]]

    assert times == sorted(times, reverse=True)
    assert isinstance(page["documents"][0]["author"], str)


def test_reads_by_id_give_those_rows(stub: http.client.HTTPConnection) -> None:
    wanted = [upstream_data.post(number)["_id"] for number in (4, 2)]
    ids = ",".join(map(str, wanted))

    _, posts = ask(stub, f"/database/function/GetPostsByIds?ids={ids}")

    assert [post["_id"] for post in posts] == wanted


def test_flux_rows_have_the_selected_columns_only(
    stub: http.client.HTTPConnection,
) -> None:
    _, notes = ask(stub, "/notes?select=id,body&order=created_at.desc&limit=2")

    assert [note.keys() for note in notes] == [{"id", "body"}, {"id", "body"}]


def test_notes_by_post_gives_the_newest_of_each_post(
    stub: http.client.HTTPConnection,
) -> None:
    ids = [upstream_data.post(number)["_id"] for number in (0, 7)]

    _, notes = ask(
        stub,
        "/rpc/notes_by_post?select=post_id,created_at",
        method="POST",
        body={"post_ids": ids, "per_post": 2},
    )

    assert [note["post_id"] for note in notes] == [ids[0]] * 2 + [ids[1]] * 2
    assert notes[0]["created_at"] > notes[1]["created_at"]


def test_refuses_data_without_a_token(stub: http.client.HTTPConnection) -> None:
    status, _ = ask(stub, POSTS, headers={"Accept": "*/*"})

    assert status == 401


def test_answers_404_to_what_it_does_not_know(stub: http.client.HTTPConnection) -> None:
    status, body = ask(stub, "/database/Tag")

    assert status == 404
    assert "/database/Tag" in body["error"]


def test_each_person_signs_in_with_a_token_of_their_own(
    stub: http.client.HTTPConnection,
) -> None:
    tokens = {
        ask(
            stub,
            "/authentication/local",
            method="POST",
            body={"email": f"person{number}@example.com"},
        )[1]["accessToken"]
        for number in (0, 3, 3, 12)
    }

    assert len(tokens) == 3


def test_the_newest_notes_are_about_posts_that_are_not_on_the_first_page(
    stub: http.client.HTTPConnection,
) -> None:
    _, page = ask(stub, POSTS.replace("limit=3", "limit=100"))
    _, notes = ask(stub, "/notes?select=post_id&order=created_at.desc&limit=100")

    posts = {document["_id"] for document in page["documents"]}
    assert posts.isdisjoint({note["post_id"] for note in notes})


def test_a_slow_stub_answers_later_and_tells_its_count_at_once() -> None:
    command = [sys.executable, "-m", "benchmarks.stub", "80"]
    with Program("stub", command, pipe=True) as program:
        connection = http.client.HTTPConnection("127.0.0.1", int(program.read_line()))
        started = time.monotonic()
        status, _ = ask(connection, POSTS)
        assert time.monotonic() - started >= 0.08
        assert status == 200
        connection.close()


def test_counts_every_call_but_not_the_question_for_the_count(
    stub: http.client.HTTPConnection,
) -> None:
    for target in (POSTS, POSTS, "/database/Tag"):
        ask(stub, target)

    ask(stub, "/_stub/calls")
    assert ask(stub, "/_stub/calls") == (200, {"calls": 3})
