"""uploadFile and PUT /files over the sandbox: every result, and nothing half-made."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from upload_harness import (
    DELETE,
    END,
    PNG,
    PREFLIGHT,
    UPLOAD,
    forget_uploads,
    front,
    head,
    names_of,
    noise,
    operations,
    pieces,
    post_multipart,
    put,
    upload,
)

from harness import Caller, Sandbox, caller_of, running_app
from resolvers.file_names import clean_name

JPEG, GIF, WEBP = b"\xff\xd8\xff\xe0JFIF", b"GIF89a", b"RIFF\x10\0\0\0WEBPVP8 "
PDF, ZIP, MP3 = b"%PDF-1.7\n", b"PK\x03\x04\x14\0", b"ID3\x04\0\0"
MP4 = b"\0\0\0\x20ftypisom\0\0"
# A browser ends the body by a line end; older Node and some mobile clients do not.
BARE_END = END.removesuffix(b"\r\n")


@pytest.fixture(autouse=True, scope="module")
def as_it_was(running_sandbox: Sandbox) -> Iterator[None]:
    """Other tests count on the demo files."""
    yield
    forget_uploads(running_sandbox)


async def test_an_uploaded_file_comes_back_byte_for_byte(
    first: Caller, sandbox: Sandbox
) -> None:
    content = PNG + noise(300_000)
    result = await upload(
        first, content, file_name="cat.png", kind="image/png", folder="pets/2026"
    )
    assert result["__typename"] == "UploadFileSuccess"
    file = result["file"]
    assert (file["name"], file["mimeType"]) == ("cat.png", "image/png")
    assert (file["size"], file["isPublic"]) == (len(content), False)
    assert [call[1:] for call in sandbox.calls()] == [("POST", "/storage/upload")]
    preview = await first.http.get(file["previewUrl"])
    assert preview.content == content
    assert preview.headers["content-type"] == "image/png"


async def test_put_files_does_the_same_plainly(first: Caller) -> None:
    content = noise(2_500_000)
    answer = await put(first, content, name="big.bin", folder="x", isPublic="true")
    assert answer.status_code == 201, answer.text
    file = answer.json()["file"]
    assert (file["size"], file["isPublic"]) == (len(content), True)
    assert answer.headers["location"] == file["previewUrl"]
    assert (await first.http.get(file["previewUrl"])).content == content


async def test_a_slow_sender_is_not_late_for_the_upstreams(sandbox: Sandbox) -> None:
    """The deadline is about waiting for upstreams, not about a sender's own pace."""

    async def slowly() -> AsyncIterator[bytes]:
        for piece in (b"first ", b"second"):
            yield piece
            await asyncio.sleep(0.6)

    environment = sandbox.environment | {"REQUEST_DEADLINE_S": "1"}
    async with running_app(environment) as app, caller_of(app) as caller:
        await caller.sign_in()
        headers = {**PREFLIGHT, "Content-Length": "12"}
        path = "/files?name=slow&folder=slow"
        answer = await caller.http.put(path, content=slowly(), headers=headers)
        assert answer.status_code == 201, answer.text


async def test_an_upload_lies_in_the_persons_own_folder_and_may_be_deleted_from_it(
    first: Caller, second: Caller, sandbox: Sandbox
) -> None:
    result = await upload(first, b"mine", file_name="own.txt", folder="a/b")
    file_id = result["file"]["id"]
    answer = await second.data(DELETE, id=file_id)
    assert answer["deleteFile"]["__typename"] == "Forbidden"
    answer = await first.data(DELETE, id=file_id)
    assert answer["deleteFile"] == {
        "__typename": "DeleteFileSuccess",
        "deletedId": file_id,
    }
    answer = await first.data(DELETE, id=file_id)
    assert answer["deleteFile"]["__typename"] == "NotFound"
    answer = await first.data(DELETE, id="nonsense")
    assert answer["deleteFile"]["__typename"] == "InvalidInput"


async def test_a_name_that_is_taken_is_a_conflict(first: Caller) -> None:
    for expected in ("UploadFileSuccess", "Conflict"):
        result = await upload(first, b"x", file_name="twice.txt", folder="twins")
        assert result["__typename"] == expected
    answer = await put(first, b"x", name="twice.txt", folder="twins")
    assert answer.status_code == 409
    assert answer.json()["errors"][0]["extensions"]["code"] == "CONFLICT"


# Words of a running Conduit (conduit.md §2, §3). Without a fault put in:
# test_coverage_of_graph.py.
@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (403, "User is blocked or deleted", "Forbidden"),
        (500, "User:1 is not allowed to edit Container:2", "Forbidden"),
        (
            500,
            "value too long for type character varying(255)",
            "InvalidInput",
        ),
        (500, "File already exists", "Conflict"),
    ],
)
async def test_each_refusal_of_the_upstream_is_a_typed_result(
    first: Caller, sandbox: Sandbox, status: int, message: str, expected: str
) -> None:
    body = {"name": "X", "status": status, "message": message}
    sandbox.fail("conduit", "/storage/upload", status=status, body=body)
    assert (await upload(first, b"x"))["__typename"] == expected


@pytest.mark.parametrize(
    ("content", "kind", "file_name", "stored"),
    [
        (PNG, "image/png", "a.png", "image/png"),
        (PNG, None, "a.png", "image/png"),
        (PNG, "application/octet-stream", "a.bin", "image/png"),
        (JPEG, "image/jpg", "a.jpg", "image/jpeg"),
        (GIF, "image/gif", "a.gif", "image/gif"),
        (WEBP, "image/webp", "a.webp", "image/webp"),
        (PDF, "application/pdf", "a.pdf", "application/pdf"),
        (ZIP, "application/zip", "a.zip", "application/zip"),
        (ZIP, "application/epub+zip", "a.epub", "application/epub+zip"),
        (MP4, "video/mp4", "a.mp4", "video/mp4"),
        (MP4, "video/quicktime", "a.mov", "video/quicktime"),
        (MP3, "audio/mpeg", "a.mp3", "audio/mpeg"),
        (b"\xff\xfb\x90\0", "audio/mp3", "a.mp3", "audio/mpeg"),
        (b"\xff\xfeh\0i\0", "text/plain", "utf16.txt", "text/plain"),
        (b"ID3 tags, explained", "text/plain", "a.txt", "text/plain"),
        (b"<html>", "text/html", "a.html", "text/html"),
        (b"", "text/plain", "empty.txt", "text/plain"),
        (b"{}", "nonsense", "a.json", "application/json"),
    ],
)
async def test_a_type_that_the_content_bears_out_is_stored(
    first: Caller, content: bytes, kind: str | None, file_name: str, stored: str
) -> None:
    folder = f"types/{hash((content, kind, file_name)) & 0xFFFFFF:x}"
    result = await upload(first, content, file_name=file_name, kind=kind, folder=folder)
    assert result["__typename"] == "UploadFileSuccess", result
    assert result["file"]["mimeType"] == stored
    assert result["file"]["size"] == len(content)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<html><script>", "image/png"),
        (JPEG, "image/png"),
        (PNG, "text/plain"),
        (PNG, "image/jpeg"),
        (ZIP, "application/pdf"),
        (ZIP, "image/png"),
        (PDF, "text/html"),
        (MP4, "image/gif"),
        (b"plain text", "application/pdf"),
        (b"plain text", "video/mp4"),
        (b"plain text", "audio/mpeg"),
        (b"plain text", "image/avif"),
        (b"", "image/gif"),
    ],
)
async def test_a_type_that_the_content_denies_is_refused_before_any_call(
    first: Caller, sandbox: Sandbox, content: bytes, kind: str
) -> None:
    result = await upload(first, content, file_name="x", kind=kind)
    assert (result["__typename"], result["field"]) == ("InvalidInput", "file")
    answer = await put(first, content, name="x", kind=kind, folder="y")
    # What a form could send needs the header as well.
    assert answer.status_code == (403 if kind == "text/plain" else 400)
    assert sandbox.calls() == []


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ('my "quoted" name.txt', "my _quoted_ name.txt"),
        ("100%25 #1?.txt", "100_25 _1_.txt"),
        ("日本.txt", "日本.txt"),
        ("Ünïcødé é.txt", "Ünïcødé é.txt"),
        ("line\r\nend\0.txt", "lineend.txt"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        (" . .hidden. ", "hidden"),
        ("猫" * 300 + ".png", "猫" * 65 + ".png"),
        ("a" * 500, "a" * 200),
    ],
)
async def test_a_name_is_cleaned_and_the_file_can_be_read_by_it(
    first: Caller, given: str, stored: str
) -> None:
    """The local provider refuses quotes, escapes by ../ and dies of other scripts."""
    folder = f"names/{len(given)}"
    result = await upload(first, b"hello", name=given, kind="a/b", folder=folder)
    assert result["__typename"] == "UploadFileSuccess", result
    assert result["file"]["name"] == stored
    preview = await first.http.get(result["file"]["previewUrl"])
    assert (preview.status_code, preview.content) == (200, b"hello")


async def test_the_alias_is_plain_ascii_whatever_the_name(
    first: Caller, sandbox: Sandbox
) -> None:
    result = await upload(first, b"x", name='日本 "é".txt', folder="alias")
    document = await raw_document(first, sandbox, result["file"]["databaseId"])
    assert document["alias"].isascii()
    assert '"' not in document["alias"]
    assert document["alias"].endswith(".txt")
    assert document["folder"].startswith("u/")
    assert document["folder"].endswith("/alias/")


async def raw_document(
    caller: Caller, sandbox: Sandbox, file_id: str
) -> dict[str, Any]:
    """The record as Conduit has it."""
    login = {"email": "second@example.com", "password": "mainstem-demo"}
    answer = sandbox.http.post(f"{sandbox.conduit}/authentication/local", json=login)
    token = answer.json()["accessToken"]
    headers = {"Authorization": f"Bearer {token}"}
    answer = sandbox.http.get(
        f"{sandbox.conduit}/storage/file/{file_id}", headers=headers
    )
    return answer.json()  # type: ignore[no-any-return]


def test_a_long_name_of_unordered_marks_costs_no_time() -> None:
    """To bring 300,000 of them into order takes 90 s."""
    started = time.process_time()
    assert clean_name("e" + "\u0301\u0327" * 30_000 + ".png").endswith(".png")
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize("name", ["", "..", "/", "...", "\u202e", "\0"])
async def test_a_name_of_nothing_is_refused(first: Caller, name: str) -> None:
    result = await upload(first, b"x", name=name)
    assert (result["__typename"], result["field"]) == ("InvalidInput", "name")


async def test_a_file_without_any_name_gets_one(first: Caller) -> None:
    result = await upload(first, b"x", file_name=None)
    assert len(result["file"]["name"]) == 36


@pytest.mark.parametrize(
    "folder",
    [
        "..",
        "../other",
        "a/../../b",
        "a/./b",
        "a\\..\\b",
        "a/%2e%2e/b",
        "a?b",
        "a#b",
        "a\0b",
        'a"b',
        " a",
        "a\r\nb",
        "/".join("abcdefghijkl"),
        "x" * 161,
    ],
)
async def test_a_folder_that_leads_elsewhere_is_refused_before_any_call(
    first: Caller, sandbox: Sandbox, folder: str
) -> None:
    result = await upload(first, b"x", folder=folder)
    assert (result["__typename"], result["field"]) == ("InvalidInput", "folder")
    assert sandbox.calls() == []


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 403, "body": "Invalid or expired signature"},
        {"status": 404},
        {"status": 302, "headers": {"location": "http://127.0.0.1/"}},
        {"reset": True},
        {"status": 503, "after": "after"},
        {"reset": True, "after": "after"},
    ],
)
async def test_a_storage_that_fails_leaves_no_record(
    first: Caller, sandbox: Sandbox, fault: dict[str, Any]
) -> None:
    sandbox.fail("files", "/", method="PUT", **fault)
    body = front(operations(name="lost.bin"), file_name="a", kind="a/b")
    answer = await post_multipart(first, body + noise(2_000_000) + END)
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"].startswith("UPSTREAM_")
    assert "outcomeUnknown" not in error["extensions"]
    assert [call[1] for call in sandbox.calls()] == ["POST", "DELETE"]
    assert "lost.bin" not in await names_of(first)


async def test_a_storage_that_keeps_silent_leaves_no_record(sandbox: Sandbox) -> None:
    environment = sandbox.environment | {"UPSTREAM_READ_TIMEOUT_S": "0.3"}
    async with running_app(environment) as app, caller_of(app) as caller:
        await caller.sign_in()
        sandbox.fail("files", "/", method="PUT", hang=True)
        answer = await put(caller, noise(2_000_000), name="silent.bin")
        assert answer.status_code == 504
        assert "silent.bin" not in await names_of(caller)


@pytest.mark.parametrize(
    "fault",
    [{"status": 504, "body": ""}, {"status": 500, "body": "<html>"}, {"reset": True}],
)
async def test_a_record_made_without_our_hearing_of_it_is_found_and_deleted(
    first: Caller, sandbox: Sandbox, fault: dict[str, Any]
) -> None:
    """The upstream made it, and its answer was lost."""
    sandbox.fail("conduit", "/storage/upload", after="after", times=1, **fault)
    body = front(operations(name="unheard.bin"), file_name="a", kind="a/b")
    answer = await post_multipart(first, body + b"x" + END)
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"].startswith("UPSTREAM_")
    assert "outcomeUnknown" not in error["extensions"]
    assert "unheard.bin" not in await names_of(first)


async def test_what_cannot_be_deleted_is_told_as_unknown(
    first: Caller, sandbox: Sandbox
) -> None:
    sandbox.fail("files", "/", method="PUT", status=500)
    sandbox.fail("conduit", "/storage/file/", method="DELETE", status=500, body={})
    body = front(operations(name="stuck.bin"), file_name="a", kind="a/b")
    answer = await post_multipart(first, body + b"x" + END)
    (error,) = answer.json()["errors"]
    assert error["extensions"]["outcomeUnknown"] is True
    deletes = [call for call in sandbox.calls() if call[1] == "DELETE"]
    assert len(deletes) == 3


async def test_nobody_uploads_without_a_session(
    anonymous: Caller, sandbox: Sandbox
) -> None:
    body = front(operations(), file_name="a", kind="a/b")
    answer = await post_multipart(anonymous, body + b"x" + END)
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    answer = await put(anonymous, b"x")
    assert answer.status_code == 401
    assert sandbox.calls() == []


async def test_with_the_cookie_a_form_needs_the_preflight_header(
    first: Caller, sandbox: Sandbox
) -> None:
    body = front(operations(), file_name="a", kind="a/b") + b"x" + END
    headers = {"Content-Type": "multipart/form-data; boundary=2d6e1c0f"}
    answer = await first.http.post("/graphql", content=body, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["errors"][0]["extensions"]["code"] == "PREFLIGHT_REQUIRED"
    answer = await put(first, b"x", kind="text/plain")
    assert answer.status_code == 403
    assert sandbox.calls() == []


async def test_a_file_cannot_come_as_json(first: Caller) -> None:
    for value in ("text", {"name": "x"}, 7):
        answer = await first(UPLOAD, input={"file": value})
        assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    answer = await first('mutation { uploadFile(input: { file: "x" }) { __typename } }')
    assert answer["errors"][0]["extensions"]["code"] in {
        "BAD_USER_INPUT",
        "GRAPHQL_VALIDATION_FAILED",
    }


OPERATIONS = operations()
MAP = '{"0": ["variables.input.file"]}'


def body_of(given: str, files: str, tail: bytes) -> bytes:
    return (
        head("operations")
        + given.encode()
        + b"\r\n"
        + head("map")
        + files.encode()
        + b"\r\n"
        + tail
    )


FILE = head("0", "a.txt", "a/b") + b"x"
MALFORMED = {
    "nothing": b"",
    "no boundary in the body": b"operations",
    "only the end": END.lstrip(),
    "operations without an end": head("operations") + OPERATIONS.encode(),
    "no operations": head("map") + MAP.encode() + END,
    "map before operations": head("map") + MAP.encode() + b"\r\n" + head("operations"),
    "file before map": head("operations") + OPERATIONS.encode() + b"\r\n" + FILE + END,
    "operations are no JSON": body_of("{", MAP, FILE + END),
    "operations are a batch": body_of(f"[{OPERATIONS}]", MAP, FILE + END),
    "operations are empty": body_of("", MAP, FILE + END),
    "map is no JSON": body_of(OPERATIONS, "{", FILE + END),
    "map is a list": body_of(OPERATIONS, "[]", FILE + END),
    "map is empty": body_of(OPERATIONS, "{}", FILE + END),
    "map names two files": body_of(
        OPERATIONS, '{"0": ["variables.a"], "1": ["variables.b"]}', FILE + END
    ),
    "map names one file twice": body_of(
        OPERATIONS, '{"0": ["variables.b"], "0": ["variables.input.file"]}', FILE + END
    ),
    "map is a text": body_of(OPERATIONS, '"0"', FILE + END),
    "map is nested deeply": body_of(OPERATIONS, "[" * 2000 + "]" * 2000, FILE + END),
    "map gives two paths": body_of(
        OPERATIONS, '{"0": ["variables.input.file", "variables.b"]}', FILE + END
    ),
    "map gives no list": body_of(
        OPERATIONS, '{"0": "variables.input.file"}', FILE + END
    ),
    "path leads nowhere": body_of(OPERATIONS, '{"0": ["variables.x.y"]}', FILE + END),
    "path leads out of variables": body_of(OPERATIONS, '{"0": ["query"]}', FILE + END),
    "path leads to a batch": body_of(
        OPERATIONS, '{"0": ["0.variables.input.file"]}', FILE + END
    ),
    "path leads to a value": body_of(
        operations(name="x"), '{"0": ["variables.input.name"]}', FILE + END
    ),
    "no file": body_of(OPERATIONS, MAP, END.lstrip()),
    "a file of another name": body_of(
        OPERATIONS, MAP, head("1", "a.txt", "a/b") + b"x" + END
    ),
    "a file that breaks off": body_of(OPERATIONS, MAP, FILE),
    "two files": body_of(
        OPERATIONS, MAP, FILE + b"\r\n" + head("1", "b.txt", "a/b") + b"y" + END
    ),
    "a header without a name": body_of(
        OPERATIONS, MAP, b"--2d6e1c0f\r\n: x\r\n\r\nx" + END
    ),
    "a part without a disposition": body_of(
        OPERATIONS, MAP, b"--2d6e1c0f\r\nX: y\r\n\r\nx" + END
    ),
    "a header twice": body_of(
        OPERATIONS,
        MAP,
        b"--2d6e1c0f\r\nContent-Type: a/b\r\ncontent-type: c/d\r\n\r\nx" + END,
    ),
    "a header without an end": body_of(
        OPERATIONS, MAP, b"--2d6e1c0f\r\nContent-Disposition: " + b"x" * 100_000
    ),
    "thousands of headers": body_of(
        OPERATIONS, MAP, b"--2d6e1c0f\r\n" + b"X: y\r\n" * 5000
    ),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_multipart_body_is_a_400_and_leaves_nothing(
    first: Caller, sandbox: Sandbox, body: bytes
) -> None:
    answer = await post_multipart(first, body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    assert sandbox.calls() == []


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data", "multipart/form-data; boundary=" + "x" * 300],
)
async def test_a_boundary_must_be_there_and_be_short(
    first: Caller, content_type: str
) -> None:
    headers = {"Content-Type": content_type}
    answer = await post_multipart(
        first, body_of(OPERATIONS, MAP, FILE + END), **headers
    )
    assert answer.status_code == 400


async def test_operations_and_map_are_bounded_as_any_body(first: Caller) -> None:
    long = json.dumps({"query": UPLOAD, "variables": {"x": "y" * 2**20}})
    answer = await post_multipart(first, body_of(long, MAP, FILE + END))
    assert answer.status_code == 413
    answer = await post_multipart(
        first, body_of(OPERATIONS, " " * 5000 + MAP, FILE + END)
    )
    assert answer.status_code == 413


async def test_a_second_file_after_a_big_one_takes_the_record_back(
    first: Caller, sandbox: Sandbox
) -> None:
    """By then the storage has had the bytes."""
    more = b"\r\n" + head("1", "b.txt", "a/b") + b"y" + END
    body = front(operations(name="first-of-two"), file_name="a", kind="a/b")
    answer = await post_multipart(first, body + noise(2_000_000) + more)
    assert answer.status_code in {200, 400}
    assert "UploadFileSuccess" not in answer.text
    assert [call[1] for call in sandbox.calls()] == ["POST", "DELETE"]
    assert "first-of-two" not in await names_of(first)


@pytest.mark.parametrize("size", [0, 10, 65_536, 1_048_575, 1_048_576, 1_500_000])
@pytest.mark.parametrize("start", [b"", b"\r", b"\r\n--2d6e1c0"])
async def test_files_of_any_length_arrive_whole(
    first: Caller, size: int, start: bytes
) -> None:
    content = start + noise(size) + b"\r\n-"
    result = await upload(first, content, folder=f"sizes/{size}/{len(start)}")
    assert result["__typename"] == "UploadFileSuccess", result
    assert result["file"]["size"] == len(content)
    assert (await first.http.get(result["file"]["previewUrl"])).content == content


async def test_a_body_without_the_last_line_end_is_taken_up_to_a_mebibyte(
    first: Caller, sandbox: Sandbox
) -> None:
    body = front(operations(folder="bare"), file_name="small", kind="a/b")
    answer = (await post_multipart(first, body + noise(1000) + BARE_END)).json()
    assert answer["data"]["uploadFile"]["__typename"] == "UploadFileSuccess"
    sandbox.forget()
    body = front(operations(folder="bare"), file_name="large", kind="a/b")
    answer = (await post_multipart(first, body + noise(2_000_000) + BARE_END)).json()
    assert answer["data"]["uploadFile"]["__typename"] == "InvalidInput"
    assert "PUT /files" in answer["data"]["uploadFile"]["message"]
    assert [call[1] for call in sandbox.calls()] == ["POST", "DELETE"]
    assert "large" not in await names_of(first)


async def in_pieces(content: bytes) -> AsyncIterator[bytes]:
    """httpx sends it chunked, without a Content-Length."""
    for piece in pieces(content):
        yield piece


async def test_without_a_length_a_file_is_taken_up_to_a_mebibyte(
    first: Caller, sandbox: Sandbox
) -> None:
    answer = await first.http.put(
        "/files?name=chunked", content=in_pieces(noise(1000)), headers=PREFLIGHT
    )
    assert answer.json()["file"]["size"] == 1000
    sandbox.forget()
    answer = await first.http.put(
        "/files?name=long", content=in_pieces(noise(2_000_000)), headers=PREFLIGHT
    )
    assert answer.status_code == 400
    assert "Content-Length" in answer.json()["errors"][0]["message"]
    assert sandbox.calls() == []


@pytest.mark.parametrize(
    "query", ["x=1", "name=a&name=b", "isPublic=perhaps", "name=%ff", "isPublic=%"]
)
async def test_parameters_of_put_files_are_checked(first: Caller, query: str) -> None:
    answer = await first.http.put(f"/files?{query}", content=b"", headers=PREFLIGHT)
    assert answer.status_code == 400


async def test_put_files_takes_no_other_method_and_no_compressed_body(
    first: Caller,
) -> None:
    answer = await first.http.get("/files")
    assert (answer.status_code, answer.headers["allow"]) == (405, "PUT")
    headers = {**PREFLIGHT, "Content-Encoding": "gzip"}
    answer = await first.http.put("/files", content=b"x", headers=headers)
    assert answer.status_code == 400


async def test_the_size_has_a_limit_of_the_operator(sandbox: Sandbox) -> None:
    environment = sandbox.environment | {"UPLOAD_MAX_BYTES": "100000"}
    async with running_app(environment) as app, caller_of(app) as caller:
        await caller.sign_in()
        sandbox.forget()
        result = await upload(caller, noise(100_001))
        assert (result["__typename"], result["field"]) == ("InvalidInput", "file")
        answer = await put(caller, noise(3_000_000), name="x")
        assert answer.status_code == 413
        assert answer.json()["errors"][0]["extensions"]["code"] == "PAYLOAD_TOO_LARGE"
        assert sandbox.calls() == []
        result = await upload(caller, noise(100_000), folder="limit")
        assert result["__typename"] == "UploadFileSuccess"


async def test_an_upload_does_not_widen_the_limit_of_other_bodies(
    first: Caller,
) -> None:
    answer = await first.post({"query": "{ __typename }" + " " * 2**20})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("file_name", "kind", "content", "taken"),
    [
        ("a.png", "image/png", PNG, True),
        ("a.gif", "image/gif", GIF, False),
        ("a.txt", "text/plain", b"x", False),
        ("a.html", "image/png", PNG, False),
        ("a", "image/png", PNG, True),
    ],
)
async def test_types_are_allowed_and_denied_by_the_operator(
    sandbox: Sandbox, file_name: str, kind: str, content: bytes, taken: bool
) -> None:
    """A name's ending counts: Conduit's local provider tells the type by it."""
    environment = sandbox.environment | {
        "UPLOAD_TYPES": "image/*",
        "UPLOAD_TYPES_DENIED": "image/gif",
    }
    async with running_app(environment) as app, caller_of(app) as caller:
        await caller.sign_in()
        result = await upload(
            caller, content, file_name=file_name, kind=kind, folder="allowed"
        )
    expected = "UploadFileSuccess" if taken else "InvalidInput"
    assert result["__typename"] == expected, result


async def test_two_uploads_at_once_do_not_mix(first: Caller, second: Caller) -> None:
    contents = {name: noise(3_000_000, seed) for seed, name in enumerate("abcd")}
    results = await asyncio.gather(
        *(
            upload(caller, contents[name], file_name=name, folder="together")
            for caller, name in zip((first, second) * 2, "abcd", strict=True)
        )
    )
    for name, result in zip("abcd", results, strict=True):
        preview = await first.http.get(result["file"]["previewUrl"])
        assert preview.content == contents[name]


async def test_data_of_a_file_above_256_kib_is_refused_before_it_is_fetched(
    first: Caller, sandbox: Sandbox
) -> None:
    query = "query ($id: ID!) { file(id: $id) { data } }"
    for size, fetched in ((256 * 1024, True), (256 * 1024 + 1, False)):
        result = await upload(first, noise(size), name=f"{size}", folder="data")
        sandbox.forget()
        answer = await first(query, id=result["file"]["id"])
        paths = [path for _, _, path in sandbox.calls()]
        assert any("/storage/file/data/" in path for path in paths) == fetched
        assert bool(answer["data"]["file"]["data"]) == fetched
        codes = [e["extensions"]["code"] for e in answer.get("errors", [])]
        assert codes == ([] if fetched else ["BAD_USER_INPUT"])


async def test_a_page_of_the_list_may_put_files_and_read_ranges(
    sandbox: Sandbox,
) -> None:
    friend = "https://app.example.com"
    environment = sandbox.environment | {"CORS_ORIGINS": friend}
    async with running_app(environment) as app, caller_of(app) as caller:
        headers = {
            "origin": friend,
            "access-control-request-method": "PUT",
            "access-control-request-headers": "content-type",
        }
        answer = await caller.http.options("/files", headers=headers)
        assert "PUT" in answer.headers["access-control-allow-methods"]
        assert "range" in answer.headers["access-control-allow-headers"].split(", ")
        answer = await caller.http.get("/preview/x", headers={"origin": friend})
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        assert {"content-range", "etag"} <= set(exposed)
        stranger = headers | {"origin": "https://evil.example.net"}
        answer = await caller.http.options("/files", headers=stranger)
        assert answer.status_code == 403


TWICE = """mutation ($file: Upload!) {
  a: uploadFile(input: { file: $file, name: "a", folder: "twice" }) { ...it }
  b: uploadFile(input: { file: $file, name: "second use", folder: "twice" }) { ...it }
}
fragment it on UploadFileResult {
  __typename ... on UploadFileSuccess { file { size } }
  ... on InvalidInput { field message }
}"""


async def test_a_file_that_is_used_twice_is_taken_once(first: Caller) -> None:
    """It is a stream: the second would silently be an empty file."""
    given = json.dumps({"query": TWICE, "variables": {"file": None}})
    where = '{"0": ["variables.file"]}'
    body = front(given, file_name="x", kind="a/b", files=where) + b"once" + END
    data = (await post_multipart(first, body)).json()["data"]
    assert data["a"]["file"] == {"size": 4}
    assert (data["b"]["__typename"], data["b"]["field"]) == ("InvalidInput", "file")
    assert "second use" not in await names_of(first)
