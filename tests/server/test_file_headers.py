"""Headers of a file's bytes: nothing that an uploader chose may run or mislead."""

import pytest
from msgspec.structs import replace

from clients.conduit.records import ConduitFile
from server.file_headers import disposition, file_headers

FILE = ConduitFile(
    id="5ecfa3ab-72d1-4b2a-9c3d-000000000001",
    name="cat.png",
    mime_type="image/png",
    size=7,
    is_public=False,
    folder=None,
    created_at="2026-01-01T00:00:00.000Z",
    updated_at="2026-01-01T00:00:00.000Z",
)


@pytest.mark.parametrize(
    ("mime_type", "name", "shown", "inline"),
    [
        ("image/png", "cat.png", "image/png", True),
        ("IMAGE/PNG; x=y", "cat.png", "image/png", True),
        ("video/mp4", "a.mp4", "video/mp4", True),
        ("text/plain", "a.txt", "text/plain; charset=utf-8", True),
        ("application/pdf", "a.pdf", "application/pdf", True),
        ("text/html", "a.html", "text/html; charset=utf-8", False),
        ("image/svg+xml", "a.svg", "image/svg+xml", False),
        ("application/xhtml+xml", "a.xhtml", "application/xhtml+xml", False),
        ("text/xml", "a.xml", "text/xml; charset=utf-8", False),
        ("text/javascript", "a.js", "text/javascript; charset=utf-8", False),
        ("application/zip", "a.zip", "application/zip", False),
        (None, "a.jpg", "image/jpeg", True),
        (None, "a.html", "text/html; charset=utf-8", False),
        (None, "a", "application/octet-stream", False),
        ("image/png\r\nX-Evil: 1", "a", "application/octet-stream", False),
        ("nonsense", "a.svg", "image/svg+xml", False),
        ("image/" + "x" * 300, "a", "application/octet-stream", False),
    ],
)
def test_only_types_that_cannot_run_a_script_are_shown_inline(
    mime_type: str | None, name: str, shown: str, inline: bool
) -> None:
    headers = file_headers(
        replace(FILE, mime_type=mime_type, name=name), download=False
    )
    assert headers["content-type"] == shown
    assert headers["content-disposition"].startswith(
        "inline" if inline else "attachment"
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert headers["cache-control"] == "private, no-cache"


def test_a_download_is_never_inline() -> None:
    headers = file_headers(FILE, download=True)
    assert headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize(
    ("name", "plain", "encoded"),
    [
        ("cat.png", "cat.png", "cat.png"),
        ("Übersicht 1.pdf", "Ubersicht 1.pdf", "%C3%9Cbersicht%201.pdf"),
        ("猫.png", "_.png", "%E7%8C%AB.png"),
        ('a"b\\c;d%e.txt', "c_d_e.txt", "c%3Bd%25e.txt"),
        ("../../etc/passwd", "passwd", "passwd"),
        ("C:\\evil.exe", "evil.exe", "evil.exe"),
        ("a\r\nX-Evil: 1.txt", "aX-Evil: 1.txt", "aX-Evil%3A%201.txt"),
        ("invoice\u202efdp.exe", "invoicefdp.exe", "invoicefdp.exe"),
        ("\x00", "file", "file"),
        ("", "file", "file"),
        ("..", "file", "file"),
        ("x" * 500 + ".png", "x" * 146 + ".png", "x" * 146 + ".png"),
    ],
)
def test_names_are_cleaned_and_given_in_both_spellings(
    name: str, plain: str, encoded: str
) -> None:
    expected = f"inline; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
    assert disposition(name, inline=True) == expected
