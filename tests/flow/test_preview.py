"""Bytes of a file through our own route; the storage stays hidden."""

import pytest

from harness import Caller, Sandbox

FILES = "{ files(first: 100) { nodes { name mimeType size previewUrl } } }"


async def test_the_bytes_of_every_kind_of_file_come_with_safe_headers(
    first: Caller,
) -> None:
    nodes = (await first.data(FILES))["files"]["nodes"]
    kinds = {file["mimeType"] for file in nodes}
    assert {"image/png", "text/html", "image/svg+xml", "text/plain"} <= kinds
    for file in nodes:
        response = await first.http.get(file["previewUrl"])
        assert response.status_code == 200, file
        assert len(response.content) == file["size"]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in response.headers["content-security-policy"]
        disposition = response.headers["content-disposition"]
        if file["mimeType"] in {"text/html", "image/svg+xml"}:
            assert disposition.startswith("attachment")
        if file["mimeType"] == "image/png":
            assert disposition.startswith("inline")
            assert response.headers["content-type"] == "image/png"
            assert response.content.startswith(b"\x89PNG")


async def test_a_preview_without_a_session_is_refused(
    first: Caller, anonymous: Caller
) -> None:
    path = await private_file(first)
    assert (await anonymous.http.get(path)).status_code == 401


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/preview/00000000-0000-4000-8000-000000000000", 404),
        ("/preview/nonsense", 400),
        ("/preview/..%2f..%2fetc%2fpasswd", 400),
    ],
)
async def test_what_is_no_file_has_its_own_status(
    first: Caller, path: str, status: int
) -> None:
    assert (await first.http.get(path)).status_code == status


async def test_a_dead_storage_is_told_apart_from_a_missing_file(
    first: Caller, sandbox: Sandbox
) -> None:
    path = await private_file(first)
    sandbox.fail("files", "/", reset=True)
    response = await first.http.get(path)
    assert response.status_code in {502, 503}
    assert sandbox.files.removeprefix("http://") not in response.text


async def test_while_authentication_is_down_a_file_is_unavailable_not_forbidden(
    first: Caller, sandbox: Sandbox
) -> None:
    """Then every token is refused in these words, and there is no renewal (recording
    failures); the session must outlive it."""
    path = await private_file(first)
    refused = {"name": "X", "status": 403, "message": "File access is not public"}
    starting = {"name": "NOT_FOUND", "status": 404, "message": "Not found"}
    sandbox.fail("conduit", "/storage/file", status=403, body=refused)
    sandbox.fail("conduit", "/authentication/renew", status=404, body=starting)
    response = await first.http.get(path)
    assert response.status_code == 503
    assert response.json()["errors"][0]["extensions"]["code"] == "UPSTREAM_UNAVAILABLE"
    sandbox.heal()
    assert (await first.http.get(path)).status_code == 200


async def private_file(caller: Caller) -> str:
    nodes = (await caller.data("{ files(first: 100) { nodes { name previewUrl } } }"))[
        "files"
    ]
    return str(
        next(n for n in nodes["nodes"] if n["name"] == "survey.txt")["previewUrl"]
    )
