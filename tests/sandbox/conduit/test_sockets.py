"""The two applications behind uvicorn: what only a real connection shows."""

import httpx
from serving import NO_TLS, served

from sandbox.conduit import ConduitState, create_conduit_app, create_file_server
from sandbox.faults import FaultyUpstream

PICTURE = bytes(range(256)) * 1024


async def test_a_signed_url_streams_the_whole_file_without_a_length(
    state: ConduitState,
) -> None:
    async with (
        served(create_conduit_app(state)) as conduit_url,
        served(FaultyUpstream(create_file_server(state))) as file_url,
        httpx.AsyncClient(verify=NO_TLS) as client,
    ):
        state.settings.file_server_url = file_url
        file = state.add_file("a b.png", PICTURE, is_public=True, folder="covers/")
        shown = await client.get(f"{conduit_url}/storage/file/{file['_id']}")
        answer = await client.get(shown.json()["url"], headers={"Range": "bytes=0-9"})
        recorded = (await client.get(f"{file_url}/_sandbox/requests")).json()
    assert (answer.status_code, answer.content) == (200, PICTURE)
    assert answer.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in answer.headers
    assert answer.headers["content-type"] == "image/png"
    assert "sig=<hidden>" in recorded[0]["query"]


async def test_bytes_that_are_put_to_an_upload_url_come_back(
    state: ConduitState, conduit: httpx.AsyncClient, signed_in: str
) -> None:
    async with (
        served(create_file_server(state)) as file_url,
        httpx.AsyncClient(verify=NO_TLS) as client,
    ):
        state.settings.file_server_url = file_url
        wanted = {"name": "up.bin", "size": len(PICTURE)}
        upload = (await conduit.post("/storage/upload", json=wanted)).json()
        put = await client.put(upload["url"], content=PICTURE)
        address = f"/storage/getFileUrl/{upload['file']['_id']}"
        url = (await conduit.get(address)).json()["result"]
        answer = await client.get(url)
    assert put.json() == {"success": True}
    assert answer.content == PICTURE


async def test_a_head_of_more_than_16_kb_closes_the_connection(
    state: ConduitState,
) -> None:
    async with (
        served(create_conduit_app(state)) as url,
        httpx.AsyncClient(verify=NO_TLS) as client,
    ):
        answer = await client.get(f"{url}/ready", params={"x": "y" * 17_000})
    assert (answer.status_code, answer.content) == (431, b"")
    assert answer.headers["connection"] == "close"


async def test_the_etag_of_an_answer_is_good_for_a_304(
    state: ConduitState,
) -> None:
    async with (
        served(create_conduit_app(state)) as url,
        httpx.AsyncClient(verify=NO_TLS) as client,
    ):
        first = await client.get(f"{url}/ready")
        headers = {"If-None-Match": first.headers["etag"]}
        second = await client.get(f"{url}/ready", headers=headers)
        head = await client.head(f"{url}/ready")
    assert (second.status_code, second.content) == (304, b"")
    assert head.headers["content-length"] == str(len(first.content))
    assert head.content == b""
