"""Vault records in the clear and encrypted: what is read, what is refused."""

import base64
import json

import pytest

from clients.conduit.records import TokenPair
from session.encryption import (
    EncryptionMode,
    RecordCodec,
    VaultEncryption,
    parse_vault_keys,
)

PAIR = TokenPair("access-1", "refresh-1")
OLD_KEY, NEW_KEY = b"o" * 32, b"n" * 32
KEY = "vault-key-1"


def codec(mode: EncryptionMode, **keys: bytes) -> RecordCodec:
    named = {name.removeprefix("k"): key for name, key in keys.items()}
    return RecordCodec(VaultEncryption(mode, named))


def test_a_plain_record_is_what_the_guide_says() -> None:
    stored = codec("off").encode(KEY, PAIR, {}).stored
    assert stored == b'{"accessToken":"access-1","refreshToken":"refresh-1"}'


def test_members_of_other_applications_are_kept() -> None:
    plain = b'{"accessToken":"a","refreshToken":"r","fluxToken":"f","n":[1]}'
    record = codec("off").decode(KEY, plain)
    assert record is not None
    assert record.flux_token == "f"
    again = codec("off").encode(KEY, PAIR, record.other).stored
    assert json.loads(again) == {
        "accessToken": "access-1",
        "refreshToken": "refresh-1",
        "fluxToken": "f",
        "n": [1],
    }


@pytest.mark.parametrize("mode", ["read-both", "required"])
def test_an_encrypted_record_shows_nothing_and_comes_back(mode: EncryptionMode) -> None:
    stored = codec(mode, k1=OLD_KEY).encode(KEY, PAIR, {"fluxToken": "f-1"}).stored
    assert stored.startswith(b"ms1.1.")
    body = base64.urlsafe_b64decode(stored.split(b".")[2])
    for secret in (b"access-1", b"refresh-1", b"f-1", b"Token"):
        assert secret not in stored + body
    record = codec(mode, k1=OLD_KEY).decode(KEY, stored)
    assert record is not None
    assert record.pair == PAIR
    assert record.other == {"fluxToken": "f-1"}


def test_each_mode_reads_what_its_neighbour_on_the_way_writes() -> None:
    """So that a rolling change of the mode signs nobody out."""
    off, both, required = (
        codec(mode, k1=OLD_KEY) for mode in ("off", "read-both", "required")
    )
    plain = off.encode(KEY, PAIR, {}).stored
    encrypted = required.encode(KEY, PAIR, {}).stored
    assert off.decode(KEY, encrypted) is not None
    assert both.decode(KEY, plain) is not None
    assert both.decode(KEY, encrypted) is not None
    assert required.decode(KEY, plain) is None


def test_an_old_key_reads_and_the_newest_writes() -> None:
    stored = codec("required", k1=OLD_KEY).encode(KEY, PAIR, {}).stored
    both = codec("required", k1=OLD_KEY, k2=NEW_KEY)
    assert both.decode(KEY, stored) is not None
    assert both.encode(KEY, PAIR, {}).stored.startswith(b"ms1.2.")
    assert codec("required", k2=NEW_KEY).decode(KEY, stored) is None


def test_a_record_moved_to_another_key_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stored = codec("required", k1=OLD_KEY).encode(KEY, PAIR, {}).stored
    assert codec("required", k1=OLD_KEY).decode("vault-key-2", stored) is None
    assert "another vault key" in caplog.records[0].__dict__["fields"]["reason"]


def test_a_plain_record_that_names_another_key_is_refused() -> None:
    plain = b'{"accessToken":"a","refreshToken":"r","vaultKey":"vault-key-2"}'
    assert codec("off").decode(KEY, plain) is None


def test_a_tampered_record_is_refused_at_every_place() -> None:
    required = codec("required", k1=OLD_KEY, k2=NEW_KEY)
    stored = codec("required", k1=OLD_KEY).encode(KEY, PAIR, {}).stored
    for at in range(len(stored)):
        other = b"A" if stored[at : at + 1] != b"A" else b"B"
        assert required.decode(KEY, stored[:at] + other + stored[at + 1 :]) is None


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"ms1.",
        b"ms1.1.!!",
        b"ms1.1.",
        b"{}",
        b'{"accessToken":"","refreshToken":""}',
        b'{"accessToken":1,"refreshToken":2}',
        b'{"accessToken":"a"}',
        b'{"accessToken":"a","refreshToken":"r","vaultKey":null}',
        b'{"accessToken":"a","refreshToken":"r","vaultKey":' + b"[" * 5000,
        b'{"accessToken":"a","refreshToken":"r","note":"\xff"}',
        b"[" * 5000,
        b" " * 70_000,
    ],
)
def test_what_is_no_record_reads_as_signed_out(stored: bytes) -> None:
    assert codec("off", k1=OLD_KEY).decode(KEY, stored) is None


def test_keys_are_read_from_a_map() -> None:
    text = json.dumps({"1": base64.b64encode(OLD_KEY).decode()})
    assert parse_vault_keys(text) == {"1": OLD_KEY}


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"1":"c2hvcnQ="}', '{"a":"b"}', "x"])
def test_unusable_keys_are_refused_without_being_told(text: str) -> None:
    with pytest.raises(ValueError, match="key") as caught:
        parse_vault_keys(text)
    assert "c2hvcnQ" not in str(caught.value)


def test_encryption_without_a_key_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="needs at least one key"):
        VaultEncryption("required")
