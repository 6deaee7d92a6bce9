"""Two people in one process never see each other's rows, decided by real RLS."""

import asyncio

from harness import Caller, Sandbox, caller_of

QUERY = """{
  viewer { email }
  notes(first: 100) { nodes { id } }
  posts(first: 5) { nodes { notes(first: 5) { nodes { id } } } }
}"""


async def test_interleaved_requests_of_two_people_stay_apart(
    first: Caller, sandbox: Sandbox, app: object
) -> None:
    async with caller_of(app) as second:
        await second.sign_in("second")
        mine = await own_ids(first, "first@example.com")
        theirs = await own_ids(second, "second@example.com")
        assert mine
        assert theirs
        assert not mine & theirs
        answers = await asyncio.gather(
            *(
                own_ids(caller, email)
                for _ in range(40)
                for caller, email in (
                    (first, "first@example.com"),
                    (second, "second@example.com"),
                )
            )
        )
    assert answers == [mine, theirs] * 40


async def test_another_persons_note_reads_as_missing(
    first: Caller, app: object
) -> None:
    async with caller_of(app) as second:
        await second.sign_in("second")
        theirs = sorted(await own_ids(second, "second@example.com"))[0]
    data = await first.data("query ($id: ID!) { note(id: $id) { body } }", id=theirs)
    assert data == {"note": None}
    data = await first.data("query ($id: ID!) { node(id: $id) { id } }", id=theirs)
    assert data == {"node": None}


async def own_ids(caller: Caller, email: str) -> frozenset[str]:
    data = await caller.data(QUERY)
    assert data["viewer"] == {"email": email}
    notes = [note["id"] for note in data["notes"]["nodes"]]
    about = [
        note["id"] for post in data["posts"]["nodes"] for note in post["notes"]["nodes"]
    ]
    assert about
    return frozenset(notes + about)
