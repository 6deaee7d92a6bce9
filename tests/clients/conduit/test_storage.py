"""Files and people: metadata by the router, bytes by the storage host."""

from collections.abc import AsyncIterator

import pytest
from clients_harness import Script, Upstream, answer, reset

from clients.conduit.client import ConduitClient
from clients.conduit.records import ConduitFile, ConduitPage, ConduitUser
from clients.errors import (
    NotFoundError,
    PermissionDeniedError,
    UpstreamMisconfiguredError,
    UpstreamResponseError,
    UpstreamUnavailableError,
)
from clients.keyset import Keyset

TIME = "2026-11-22T06:24:15.891Z"
ID = "da5cc683-b0e7-423c-b1ef-640dd47b1c02"
# As recorded (storage.json).
DOCUMENT = {
    "_id": ID,
    "name": "pic.png",
    "mimeType": "image/png",
    "folder": "covers/",
    "container": "posts",
    "size": 99,
    "isPublic": False,
    "updatedAt": TIME,
    "createdAt": TIME,
    "alias": None,
    "url": None,
    "sourceUrl": None,
}
RECORD = ConduitFile(
    id=ID,
    name="pic.png",
    mime_type="image/png",
    size=99,
    folder="covers/",
    created_at=TIME,
    updated_at=TIME,
)


def module_error(status: int, message: str) -> Script:
    return answer(status, {"name": "X", "status": status, "message": message})


async def test_files_by_ids_are_one_fresh_call(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, [DOCUMENT]))
    assert await conduit.storage.by_ids([ID.upper(), ID]) == [RECORD]
    seen = upstream.only
    assert seen.target == f"/database/function/GetFilesByIds?ids={ID}"
    assert seen.headers["cache-control"] == "no-cache"


async def test_users_by_ids_hold_no_more_than_others_may_see(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    whole = {"_id": ID, "username": None, "email": "a@b.c", "google": {"token": "t"}}
    upstream.script(answer(200, [whole]))
    assert await conduit.users.by_ids([ID]) == [ConduitUser(ID, None)]
    assert upstream.only.target == f"/database/function/GetUsersByIds?ids={ID}"


async def test_the_first_page_of_files_begins_in_the_far_future(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, {"documents": [DOCUMENT], "count": 9}))
    assert await conduit.storage.page(limit=21) == ConduitPage([RECORD], 9)
    assert upstream.only.path == "/database/function/GetFiles"
    assert dict(upstream.only.query) == {
        "createdAt": "2100-01-01T00:00:00.000Z",
        "id": "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "skip": "0",
        "limit": "21",
        "sort": "-createdAt,-_id",
    }


async def test_the_next_page_of_files_begins_after_its_keyset(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, {"documents": [], "count": 0}))
    await conduit.storage.page(limit=3, beyond=Keyset(TIME, ID))
    query = dict(upstream.only.query)
    assert (query["createdAt"], query["id"]) == (TIME, ID)


async def test_one_file_by_storage_s_own_route(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, DOCUMENT), module_error(404, "File does not exist"))
    assert await conduit.storage.get(ID) == RECORD
    assert upstream.only.target == f"/storage/file/{ID}"
    with pytest.raises(NotFoundError):
        await conduit.storage.get(ID)


async def test_contents_come_in_base64(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(answer(200, {"data": "aGVsbG8="}))
    assert await conduit.storage.data(ID) == "aGVsbG8="
    assert upstream.only.target == f"/storage/file/data/{ID}"


@pytest.mark.parametrize(("download", "query"), [(False, ""), (True, "?download=true")])
async def test_a_signed_address_is_asked_for(
    upstream: Upstream, conduit: ConduitClient, download: bool, query: str
) -> None:
    upstream.script(answer(200, {"result": "http://localhost:3100/c/a b.png?sig=1"}))
    url = await conduit.storage.signed_url(ID, download=download)
    assert url == "http://localhost:3100/c/a%20b.png?sig=1"
    assert upstream.only.target == f"/storage/getFileUrl/{ID}{query}"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("with space & plus+.txt", "with%20space%20&%20plus+.txt"),
        ("#1.png", "%231.png"),
        ("what?.png", "what%3F.png"),
        ("100%.png", "100%25.png"),
        ("a%20b.png", "a%20b.png"),
        ("f%C3%BCr.png", "f%C3%BCr.png"),
    ],
)
async def test_a_name_that_the_local_provider_left_as_it_is_does_not_cut_its_address(
    upstream: Upstream, conduit: ConduitClient, name: str, path: str
) -> None:
    query = "fileName=%23&expires=1795333361059&sig=1"
    upstream.script(answer(200, {"result": f"http://localhost:3190/c/{name}?{query}"}))
    url = await conduit.storage.signed_url(ID)
    assert url == f"http://localhost:3190/c/{path}?{query}"


@pytest.mark.parametrize("url", ["/c/a.png", "file:///etc/passwd", "", "http:///x"])
async def test_an_address_that_is_none_is_a_misconfiguration_and_not_quoted(
    upstream: Upstream, conduit: ConduitClient, url: str
) -> None:
    upstream.script(answer(200, {"result": url}))
    with pytest.raises(UpstreamMisconfiguredError) as caught:
        await conduit.storage.signed_url(ID)
    assert not url or url not in caught.value.message


@pytest.mark.parametrize("status", [403, 500])
async def test_an_expired_token_on_a_private_file_is_healed(
    upstream: Upstream, conduit: ConduitClient, status: int
) -> None:
    upstream.script(
        module_error(status, "File access is not public"),
        answer(200, {"result": "http://s/x"}),
    )
    assert await conduit.storage.signed_url(ID) == "http://s/x"
    assert [seen.headers["authorization"] for seen in upstream.seen] == [
        "Bearer token-1",
        "Bearer token-2",
    ]


async def test_a_private_file_with_a_fresh_token_is_a_refusal(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(module_error(500, "File access is not public"))
    with pytest.raises(PermissionDeniedError):
        await conduit.storage.signed_url(ID)
    assert len(upstream.seen) == 2


async def test_bytes_come_from_the_storage_host_without_a_token(
    storage_host: Upstream, conduit: ConduitClient
) -> None:
    storage_host.script(answer(206, b"bytes", content_type="image/png"))
    url = f"{storage_host.url}/c/a%20b.png?expires=1&sig=x%2By"
    async with conduit.storage.open_bytes(
        url, headers={"Range": "bytes=0-4"}
    ) as answered:
        assert answered.status == 206
        assert answered.headers["content-type"] == "image/png"
        assert b"".join([chunk async for chunk in answered.chunks()]) == b"bytes"
    seen = storage_host.only
    assert seen.target == "/c/a%20b.png?expires=1&sig=x%2By"
    assert seen.headers["range"] == "bytes=0-4"
    assert not {"authorization", "x-forwarded-for", "clientid"} & set(seen.headers)


async def test_bytes_that_are_gone_are_not_found(
    storage_host: Upstream, conduit: ConduitClient
) -> None:
    storage_host.script(answer(404, b"Not found", content_type="text/plain"))
    with pytest.raises(NotFoundError):
        async with conduit.storage.open_bytes(f"{storage_host.url}/c/a.png"):
            pass


async def contents() -> AsyncIterator[bytes]:
    for _ in range(100):
        yield b"x" * 1000


async def test_an_upload_makes_the_record_and_then_puts_the_bytes(
    upstream: Upstream, storage_host: Upstream, conduit: ConduitClient
) -> None:
    url = f"{storage_host.url}/posts/up.png?sig=1"
    upstream.script(answer(200, {"file": DOCUMENT, "url": url}))
    storage_host.script(answer(200, {"success": True}))
    upload = await conduit.storage.begin_upload(
        name="pic.png", mime_type="image/png", size=100_000, folder="covers"
    )
    assert upload.file == RECORD
    assert "sig=1" not in repr(upload)
    await conduit.storage.put_bytes(
        upload.url, contents(), size=100_000, mime_type="image/png"
    )
    made, put = upstream.only, storage_host.only
    assert (made.method, made.target) == ("POST", "/storage/upload")
    assert made.json == {
        "name": "pic.png",
        "mimeType": "image/png",
        "size": 100_000,
        "isPublic": False,
        "folder": "covers",
    }
    assert (put.method, put.target) == ("PUT", "/posts/up.png?sig=1")
    assert put.headers["content-length"] == "100000"
    assert put.headers["content-type"] == "image/png"
    assert "authorization" not in put.headers
    assert put.body == b"x" * 100_000


async def test_an_upload_that_breaks_is_told_and_not_repeated(
    storage_host: Upstream, conduit: ConduitClient
) -> None:
    storage_host.script(reset)
    with pytest.raises(UpstreamUnavailableError):
        await conduit.storage.put_bytes(
            f"{storage_host.url}/x", contents(), size=100_000, mime_type="a/b"
        )
    assert len(storage_host.seen) == 1


async def test_an_upload_that_storage_refuses_is_told(
    storage_host: Upstream, conduit: ConduitClient
) -> None:
    storage_host.script(answer(403, b"Invalid or expired signature"))
    with pytest.raises(UpstreamResponseError):
        await conduit.storage.put_bytes(
            f"{storage_host.url}/x", contents(), size=100_000, mime_type="a/b"
        )


async def test_a_file_is_deleted_by_its_id(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    upstream.script(
        answer(200, {"success": True}), module_error(500, "File does not exist")
    )
    await conduit.storage.delete(ID)
    assert (upstream.only.method, upstream.only.target) == (
        "DELETE",
        f"/storage/file/{ID}",
    )
    with pytest.raises(NotFoundError):
        await conduit.storage.delete(ID)


@pytest.mark.parametrize("missing", ["_id", "name", "createdAt", "updatedAt"])
async def test_a_file_without_what_it_must_have_is_a_bad_answer(
    upstream: Upstream, conduit: ConduitClient, missing: str
) -> None:
    upstream.script(
        answer(200, {key: DOCUMENT[key] for key in DOCUMENT if key != missing})
    )
    with pytest.raises(UpstreamResponseError):
        await conduit.storage.get(ID)


@pytest.mark.parametrize(
    ("query", "typed"), [("sig=1", True), ("OSSAccessKeyId=a&Signature=b", False)]
)
async def test_an_upload_has_the_headers_that_every_provider_wants(
    storage_host: Upstream, conduit: ConduitClient, query: str, typed: bool
) -> None:
    storage_host.script(answer(201, b""))
    await conduit.storage.put_bytes(
        f"{storage_host.url}/x?{query}", contents(), size=100_000, mime_type="a/b"
    )
    sent = storage_host.only.headers
    assert sent["x-ms-blob-type"] == "BlockBlob"
    assert ("content-type" in sent) == typed


@pytest.mark.parametrize("status", [304, 404, 416])
async def test_an_upload_is_not_answered_as_a_download_is(
    storage_host: Upstream, conduit: ConduitClient, status: int
) -> None:
    storage_host.script(answer(status, b""))
    with pytest.raises(UpstreamResponseError):
        await conduit.storage.put_bytes(
            f"{storage_host.url}/x", contents(), size=100_000, mime_type="a/b"
        )


async def test_a_new_file_is_found_by_its_alias(
    upstream: Upstream, conduit: ConduitClient
) -> None:
    page = {"documents": [DOCUMENT, {**DOCUMENT, "alias": "mark"}], "count": 2}
    upstream.script(answer(200, page))
    assert await conduit.storage.find_by_alias("mark") == ID
    assert await conduit.storage.find_by_alias("other") is None
    assert upstream.seen[0].headers["cache-control"] == "no-cache"
