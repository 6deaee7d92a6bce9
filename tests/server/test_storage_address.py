"""Addresses that file bytes may come from, and the many that they may not."""

import pytest

from clients.errors import UpstreamMisconfiguredError
from server.storage_address import admit
from server.upstream_settings import StorageSettings

SETTINGS = StorageSettings(
    hosts=frozenset({"files.example.com", "localhost:3100"}),
    rewrites={"localhost:3200": "http://storage:9000"},
)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://files.example.com/a?sig=1", "https://files.example.com/a?sig=1"),
        (
            "http://localhost:3100/c/a%20b.png?x=1",
            "http://localhost:3100/c/a%20b.png?x=1",
        ),
        ("http://localhost:3100/c/a b.png", "http://localhost:3100/c/a%20b.png"),
        ("http://localhost:3100/c/é.png", "http://localhost:3100/c/%C3%A9.png"),
        ("http://LOCALHOST:3200/c/a?sig=1", "http://storage:9000/c/a?sig=1"),
        ("https://files.example.com:443/a", "https://files.example.com:443/a"),
        ("https://files.example.com/a#b", "https://files.example.com/a"),
    ],
)
def test_an_address_of_the_list_passes(url: str, expected: str) -> None:
    assert admit(url, SETTINGS) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/etc/passwd",
        "//files.example.com/a",
        "file:///etc/passwd",
        "ftp://files.example.com/a",
        "gopher://localhost:3100/",
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:169.254.169.254]/",
        "http://127.0.0.1:3100/",
        "http://localhost/",
        "http://localhost:6379/",
        "http://localhost:3100@evil.net/",
        "http://evil.net@localhost:3100/",
        "http://user:pw@files.example.com/",
        "http://files.example.com.evil.net/",
        "http://evil.net/files.example.com",
        "http://evil.net?files.example.com",
        "http://evil.net#files.example.com",
        "http://evil.net\\@files.example.com/",
        "http://files.example.com\\.evil.net/",
        "http://files.example.com:3100/",
        "http://files.example.com:0x50/",
        "http://files.example.com:99999/",
        "http://localhost.:3100/",
        "http://2130706433:3100/",
        "http://0x7f000001:3100/",
        "http://0177.0.0.1:3100/",
        "http://0:3100/",
        "http://[::1]:3100/",
        "http://\tlocalhost:3100/",
        "http://local\nhost:3100/",
        "http://localhost:3100/\r\nX-Evil: 1",
        "http://ⓛocalhost:3100/",
        "http://localhost%2eevil.net:3100/",
        "http://:3100/",
        "http://[localhost]:3100/",
    ],
)
def test_every_other_address_is_refused_without_quoting_its_query(url: str) -> None:
    with pytest.raises(UpstreamMisconfiguredError) as caught:
        admit(url + "?sig=private" if url else url, SETTINGS)
    assert "private" not in caught.value.message
