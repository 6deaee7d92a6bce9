"""Both clients against the running stand-ins: real PostgreSQL, real signed uploads.

The other tests of this folder assert what goes out; these, that it is understood.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import jwt
import pytest
from clients_harness import TRANSPORT, Tokens

from clients.conduit.calls import ConduitCalls
from clients.conduit.client import ConduitClient, conduit_http, storage_http
from clients.conduit.records import ConduitViewer
from clients.errors import (
    InvalidCredentialsError,
    NotAuthenticatedError,
    NotFoundError,
    PermissionDeniedError,
    UpstreamMisconfiguredError,
)
from clients.flux.calls import FluxCalls, FluxHTTP
from clients.flux.client import FluxClient, flux_http
from clients.flux.notes import NOTE_COLUMNS
from clients.flux.records import NoteConditions
from clients.http import CallScope, HTTPLimits, open_transport
from clients.keyset import Keyset
from harness import PASSWORD, Sandbox

LIMITS = HTTPLimits()
BOTH = frozenset({"author", "coverFile"})


@dataclass
class Person:
    """One signed-in person and the clients of their request."""

    viewer: ConduitViewer
    conduit: ConduitClient
    flux: FluxClient
    flux_http: FluxHTTP
    scope: CallScope


@pytest.fixture
async def person(sandbox: Sandbox, scope: CallScope) -> AsyncIterator[Person]:
    router = conduit_http(sandbox.conduit, open_transport(TRANSPORT, LIMITS), LIMITS)
    storage = storage_http(open_transport(TRANSPORT, LIMITS), LIMITS)
    gateway = flux_http(sandbox.flux, open_transport(TRANSPORT, LIMITS), LIMITS)
    nobody = ConduitClient(ConduitCalls(router, None, scope), storage)
    pair = await nobody.authentication.sign_in("first@example.com", PASSWORD, scope)
    conduit = ConduitClient(
        ConduitCalls(router, Tokens([pair.access_token]), scope), storage
    )
    viewer = await conduit.viewer()
    token = flux_token(viewer.id, sandbox.flux_jwt_secret)
    flux = FluxClient(FluxCalls(gateway, Tokens([token]), scope, None))
    yield Person(viewer, conduit, flux, gateway, scope)
    for http in (router, storage, gateway):
        await http.aclose()


def flux_token(subject: str, secret: str) -> str:
    claims = {"sub": subject, "role": "authenticated", "exp": int(time.time()) + 300}
    return jwt.encode(claims, secret, "HS256")


async def test_walking_posts_by_keyset_meets_each_once(person: Person) -> None:
    first = await person.conduit.posts.list_page(limit=7, populate=BOTH)
    walked, page = list(first.documents), first.documents
    while page:
        place = Keyset(page[-1].created_at, page[-1].id)
        answered = await person.conduit.posts.beyond(
            limit=7, keyset=place, descending=True, populate=BOTH
        )
        page = answered.documents
        walked += page
    assert len(walked) == first.count == len({post.id for post in walked})
    assert walked == sorted(walked, key=lambda p: (p.created_at, p.id), reverse=True)
    assert all(post.author is not None for post in walked)


async def test_walking_notes_by_keyset_meets_each_once_in_both_directions(
    person: Person,
) -> None:
    for descending in (True, False):
        walked, place, total = [], None, None
        while True:
            page = await person.flux.notes.page(
                limit=9,
                descending=descending,
                beyond=place,
                conditions=NoteConditions(),
                columns=NOTE_COLUMNS,
                count=True,
            )
            total = page.total if place is None else total
            if not page.notes:
                break
            walked += page.notes
            last = page.notes[-1]
            assert last.created_at is not None
            place = Keyset(last.created_at, last.id)
        assert len({note.id for note in walked}) == len(walked) == total
        assert await person.flux.notes.count(NoteConditions()) == total


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('50% (OFF)* "Q" \\ _Ü', True),
        ("(off)*", True),
        ("\\", True),
        ("%", True),
        ("_ü", True),
        ("5%f", False),
        ("50_", False),
        ("o.f", False),
        ("off*", False),
    ],
)
async def test_postgresql_searches_for_text_literally_in_any_case(
    person: Person, text: str, found: bool
) -> None:
    note = await person.flux.notes.create(
        id=str(uuid.uuid4()),
        body='50% (off)* "q" \\ _ü',
        post_id=None,
        owner_id=person.viewer.id,
        columns=NOTE_COLUMNS,
    )
    page = await person.flux.notes.page(
        limit=100,
        descending=True,
        beyond=None,
        conditions=NoteConditions(body_contains=text),
        columns=NOTE_COLUMNS,
        count=False,
    )
    assert await person.flux.notes.delete(note.id)
    assert (note.id in {hit.id for hit in page.notes}) == found


async def test_notes_of_many_posts_agree_with_their_counts(person: Person) -> None:
    posts = (await person.conduit.posts.list_page(limit=60)).documents
    ids = [post.id for post in posts]
    notes = person.flux.notes
    grouped = await notes.by_posts(ids, per_post=100, beyond=None, columns=NOTE_COLUMNS)
    counts = await notes.counts_by_posts(ids)
    assert {id: len(found) for id, found in grouped.items()} == counts
    assert sum(counts.values()) > 0
    for found in grouped.values():
        times = [(note.created_at, note.id) for note in found]
        assert times == sorted(times, reverse=True)


async def test_a_post_lives_and_dies(person: Person) -> None:
    posts, me = person.conduit.posts, person.viewer.id
    cover = (await person.conduit.storage.page(limit=1)).documents[0]
    made = await posts.create(
        title="T, 1", body="B", author_id=me, cover_file_id=cover.id
    )
    cleared = await posts.update(made.id, {"body": None})
    assert (cleared.title, cleared.body) == ("T, 1", None)
    assert (cleared.author_id, cleared.cover_file_id) == (me, cover.id)
    patched = await posts.update(made.id, {"title": "T2"})
    assert patched == await posts.get(made.id)
    assert await posts.update(made.id, {}) == patched
    await posts.delete(made.id)
    assert await posts.by_ids([made.id]) == []
    for call in (posts.get(made.id), posts.update(made.id, {"title": "x"})):
        with pytest.raises(NotFoundError):
            await call


async def test_a_file_is_uploaded_read_and_deleted(person: Person) -> None:
    storage = person.conduit.storage

    async def parts() -> AsyncIterator[bytes]:
        yield b"abc"
        yield b"def"

    upload = await storage.begin_upload(
        name=f"{uuid.uuid4()} ü.txt", mime_type="text/plain", size=6, folder="u"
    )
    await storage.put_bytes(upload.url, parts(), size=6, mime_type="text/plain")
    url = await storage.signed_url(upload.file.id, download=True)
    async with storage.open_bytes(url) as answered:
        assert b"".join([chunk async for chunk in answered.chunks()]) == b"abcdef"
    assert await storage.by_ids([upload.file.id]) == [upload.file]
    assert await storage.data(upload.file.id) == "YWJjZGVm"
    await storage.delete(upload.file.id)
    with pytest.raises(NotFoundError):
        await storage.get(upload.file.id)


async def test_row_level_security_is_a_refusal_or_nothing(
    person: Person, sandbox: Sandbox
) -> None:
    token = flux_token(str(uuid.uuid4()), sandbox.flux_jwt_secret)
    stranger = FluxClient(
        FluxCalls(person.flux_http, Tokens([token]), person.scope, None)
    )
    page = await person.flux.notes.page(
        limit=1,
        descending=True,
        beyond=None,
        conditions=NoteConditions(),
        columns=NOTE_COLUMNS,
        count=False,
    )
    (note,) = page.notes
    assert await stranger.notes.by_ids([note.id], columns=NOTE_COLUMNS) == []
    assert await stranger.notes.update(note.id, body="x", columns=NOTE_COLUMNS) is None
    assert await stranger.notes.delete(note.id) is False
    with pytest.raises(PermissionDeniedError):
        await stranger.notes.create(
            id=str(uuid.uuid4()),
            body="x",
            post_id=None,
            owner_id=person.viewer.id,
            columns=NOTE_COLUMNS,
        )


async def test_a_wrong_secret_is_our_misconfiguration(person: Person) -> None:
    token = flux_token(person.viewer.id, "another secret, as long as it should be")
    client = FluxClient(
        FluxCalls(person.flux_http, Tokens([token]), person.scope, None)
    )
    with pytest.raises(UpstreamMisconfiguredError):
        await client.check()


async def test_tokens_die_as_the_contract_says(person: Person) -> None:
    accounts, scope = person.conduit.authentication, person.scope
    # Tokens made within one second are the same text (conduit.md §2).
    await asyncio.sleep(1.1)
    pair = await accounts.sign_in("first@example.com", PASSWORD, scope)
    with pytest.raises(NotAuthenticatedError):
        await person.conduit.viewer()
    await asyncio.sleep(1.1)
    new = await accounts.renew(pair.refresh_token, scope)
    for call in (
        accounts.renew(pair.refresh_token, scope),
        accounts.sign_out(pair.access_token, scope),
    ):
        with pytest.raises(NotAuthenticatedError):
            await call
    await accounts.sign_out(new.access_token, scope)
    with pytest.raises(InvalidCredentialsError):
        await accounts.sign_in("first@example.com", "not the password", scope)
