"""Uploads as clients send them: by the multipart request spec, or plainly by PUT."""

import itertools
import json
import random
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from harness import PASSWORD, Caller, Sandbox

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
PREFLIGHT = {"GraphQL-Require-Preflight": "1"}
BOUNDARY = "2d6e1c0f"

UPLOAD = """mutation ($input: UploadFileInput!) {
  uploadFile(input: $input) {
    __typename
    ... on UploadFileSuccess {
      file { id databaseId name mimeType size isPublic previewUrl }
    }
    ... on Problem { message }
    ... on InvalidInput { field }
  }
}"""
DELETE = """mutation ($id: ID!) {
  deleteFile(id: $id) { __typename ... on DeleteFileSuccess { deletedId } }
}"""


def operations(**variables: Any) -> str:
    """The part `operations` with null in the file's place."""
    given = {"input": {"file": None, **variables}}
    return json.dumps({"query": UPLOAD, "variables": given})


def head(name: str, file_name: str | None = None, kind: str | None = None) -> bytes:
    """A boundary and the headers of a part."""
    line = f'Content-Disposition: form-data; name="{name}"'
    if file_name is not None:
        line += f'; filename="{file_name}"'
    lines = [f"--{BOUNDARY}", line, *([f"Content-Type: {kind}"] if kind else [])]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def front(
    given: str,
    *,
    file_name: str | None,
    kind: str | None,
    files: str = '{"0": ["variables.input.file"]}',
) -> bytes:
    """Everything before the file's bytes."""
    return (
        head("operations")
        + given.encode()
        + b"\r\n"
        + head("map")
        + files.encode()
        + b"\r\n"
        + head("0", file_name, kind)
    )


END = f"\r\n--{BOUNDARY}--\r\n".encode()


async def post_multipart(
    caller: Caller, content: bytes | AsyncIterator[bytes], **headers: str
) -> httpx.Response:
    """A multipart body as it stands."""
    sent = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", **PREFLIGHT}
    return await caller.http.post("/graphql", content=content, headers=sent | headers)


async def upload(
    caller: Caller,
    content: bytes,
    *,
    file_name: str | None = "a.bin",
    kind: str | None = None,
    **variables: Any,
) -> dict[str, Any]:
    """What became of uploadFile."""
    body = front(operations(**variables), file_name=file_name, kind=kind)
    answer = (await post_multipart(caller, body + content + END)).json()
    assert "errors" not in answer, answer
    return answer["data"]["uploadFile"]  # type: ignore[no-any-return]


async def put(caller: Caller, content: bytes, **options: Any) -> httpx.Response:
    """PUT /files; keyword arguments are query parameters."""
    headers = {"Content-Type": options.pop("kind", "application/octet-stream")}
    return await caller.http.put(
        "/files", content=content, params=options, headers=headers
    )


async def names_of(caller: Caller) -> set[str]:
    """Names of all files that there are a record of."""
    nodes = (await caller.data("{ files(first: 100) { nodes { name } } }"))["files"]
    return {node["name"] for node in nodes["nodes"]}


def noise(size: int, seed: int = 7) -> bytes:
    """Bytes that no part of repeats, the same for each seed."""
    return random.Random(seed).randbytes(size)  # noqa: S311 test data, no secret


def pieces(content: bytes, size: int = 65_536) -> Iterator[bytes]:
    """The content in pieces."""
    for start in range(0, len(content), size):
        yield content[start : start + size]


BIG = noise(1_500_000)  # more than is looked at before the record is made
OTHER_INPUT = ("BAD_USER_INPUT", False)


@dataclass(frozen=True)
class Upload:
    """One upload with a key, for either way in."""

    content: bytes = BIG
    name: str = "a.bin"
    folder: str = "f"
    kind: str = "a/b"
    key: str = "a key"

    async def by(self, way: str, caller: Caller) -> Any:
        """The file's id, or the refusal: (code, whether the outcome is unknown)."""
        if way == "PUT":
            return await self._put(caller)
        given = operations(name=self.name, folder=self.folder, idempotencyKey=self.key)
        body = front(given, file_name="x", kind=self.kind) + self.content + END
        length = {"Content-Length": str(len(body))}
        answer = (await post_multipart(caller, in_pieces(body), **length)).json()
        if "errors" in answer:
            return _refusal(answer)
        result = answer["data"]["uploadFile"]
        if result["__typename"] == "InvalidInput":
            assert result["field"] == "idempotencyKey", result
            return OTHER_INPUT
        return result["file"]["databaseId"]

    async def _put(self, caller: Caller) -> Any:
        answer = await caller.http.put(
            "/files",
            content=in_pieces(self.content),
            params={"name": self.name, "folder": self.folder},
            headers={
                **PREFLIGHT,
                "Content-Type": self.kind,
                "Content-Length": str(len(self.content)),
                "Idempotency-Key": self.key,
            },
        )
        if answer.status_code != 201:
            return _refusal(answer.json())
        return answer.json()["file"]["databaseId"]


SIZES = itertools.cycle([65_536, 1_000, 70_001, 16_384])


async def in_pieces(content: bytes) -> AsyncIterator[bytes]:
    """As a network brings it: never cut at the same places."""
    for piece in pieces(content, next(SIZES)):
        yield piece


def _refusal(answer: dict[str, Any]) -> tuple[str, bool]:
    extensions = answer["errors"][0]["extensions"]
    return extensions["code"], extensions.get("outcomeUnknown", False)


def memory_bytes(pid: int, field: str = "VmHWM") -> int:
    """Resident memory of a process: its peak, or `VmRSS` as it is now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = next(line for line in lines if line.startswith(f"{field}:"))
    return int(found.split()[1]) * 1024


def forget_peak(pid: int) -> None:
    """Let the peak begin at what is resident now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def forget_uploads(sandbox: Sandbox) -> None:
    """Delete what came through the server, so that lists are as they were."""
    sandbox.heal()
    login = {"email": "second@example.com", "password": PASSWORD}
    answer = sandbox.http.post(f"{sandbox.conduit}/authentication/local", json=login)
    headers = {
        "Authorization": f"Bearer {answer.json()['accessToken']}",
        "Cache-Control": "no-cache",
    }
    newest = {
        "createdAt": "2100-01-01T00:00:00.000Z",
        "id": "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "skip": 0,
        "limit": 1000,
        "sort": "-createdAt",
    }
    path = f"{sandbox.conduit}/database/function/GetFiles"
    found = sandbox.http.get(path, params=newest, headers=headers).json()["documents"]
    for file in found:
        if re.search(r"-[0-9a-f]{12}(\.|$)", file["alias"] or ""):
            path = f"{sandbox.conduit}/storage/file/{file['_id']}"
            sandbox.http.delete(path, headers=headers).raise_for_status()
