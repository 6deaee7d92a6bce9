"""The seal against vectors made by the real iron-session, and beyond them."""

import base64
import hashlib
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session.cookie import CookieSettings, SessionCookie
from session.seal import (
    MAX_LENGTH,
    Nonces,
    SealError,
    Unsealed,
    parse_passwords,
    seal,
    unseal,
    weakness,
)
from session.seal_keys import ProvenKeys, SealKeys, derive

FILE = Path(__file__).with_name("iron-session-vectors.json")
VECTORS: list[dict[str, Any]] = json.loads(FILE.read_text())["vectors"]
SEALED = [vector for vector in VECTORS if vector["kind"] == "seal-and-unseal"]
SINGLE = [vector for vector in VECTORS if "cookie" in vector]
CHUNKED = [vector for vector in VECTORS if vector["kind"] == "unseal-cookies"]
PASSWORDS = {"1": "nWq3vT8yLk2RzXc7JpBd5HsFg9MaQe1U"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def name(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def passwords(vector: dict[str, Any]) -> dict[str, str]:
    password = vector["password"]
    return {"1": password} if isinstance(password, str) else password


def twice(value: str, passwords: dict[str, str], now_ms: int) -> Unsealed:
    """The second time with the keys that are kept from the first."""
    proven = ProvenKeys()
    for _ in range(2):
        unsealed = unseal(value, passwords=passwords, now_ms=now_ms, proven=proven)
        assert len(proven) == 1
    return unsealed


def test_all_27_vectors_are_run() -> None:
    assert len(SINGLE) + len(CHUNKED) == 27
    assert len(SEALED) == 3


@pytest.mark.parametrize("vector", SINGLE, ids=name)
def test_unseals_as_iron_session_does(vector: dict[str, Any]) -> None:
    now_ms = vector.get("now_ms", int(time.time() * 1000))
    if vector["expect"] != "ok":
        with pytest.raises(SealError) as caught:
            unseal(vector["cookie"], passwords=passwords(vector), now_ms=now_ms)
        assert caught.value.reason == vector["expect"]
        return
    unsealed = unseal(vector["cookie"], passwords=passwords(vector), now_ms=now_ms)
    assert unsealed.payload == vector["payload"]
    assert unsealed == twice(vector["cookie"], passwords(vector), now_ms)
    if "expect_needs_reseal" in vector:
        assert unsealed.old_password == vector["expect_needs_reseal"]


def test_what_was_in_a_seal_is_not_shown() -> None:
    sealed = seal({"vaultKey": "secret"}, passwords=PASSWORDS, ttl_s=60, now_ms=1)
    assert "secret" not in repr(unseal(sealed, passwords=PASSWORDS, now_ms=1))


@pytest.mark.parametrize("vector", SEALED, ids=name)
def test_seals_byte_for_byte_as_iron_session_does(vector: dict[str, Any]) -> None:
    fixed = vector["fixed"]
    nonces = Nonces(
        fixed["enc_salt"], bytes.fromhex(fixed["iv_hex"]), fixed["mac_salt"]
    )
    sealed = seal(
        vector["payload"],
        passwords=passwords(vector),
        ttl_s=0,
        now_ms=0,
        nonces=nonces,
    )
    assert sealed == vector["cookie"]


@pytest.mark.parametrize("vector", CHUNKED, ids=name)
def test_reads_a_session_in_several_cookies(vector: dict[str, Any]) -> None:
    settings = CookieSettings(
        passwords=passwords(vector), secure=True, name=vector["cookieName"]
    )
    session = SessionCookie(settings).read(vector["cookies"])
    assert session.is_open
    payload = {"userId": session.user_id, "vaultKey": session.vault_key}
    compact = json.dumps(
        {**payload, **session.extra}, separators=(",", ":"), ensure_ascii=False
    )
    digest = hashlib.sha256(compact.encode()).hexdigest()
    assert digest == vector["payload_sha256_of_compact_json"]
    assert session.shown_cookies == tuple(vector["cookies"])


@given(payload=st.dictionaries(st.text(), JSON))
def test_what_is_sealed_comes_out_again(payload: dict[str, Any]) -> None:
    sealed = seal(payload, passwords=PASSWORDS, ttl_s=60, now_ms=1)
    assert unseal(sealed, passwords=PASSWORDS, now_ms=1).payload == payload


@given(position=st.integers(0, 300), letter=st.sampled_from("Aa0_-*~%"))
def test_no_change_of_a_letter_goes_unnoticed(position: int, letter: str) -> None:
    payload = {"userId": "u", "vaultKey": "k"}
    sealed = seal(payload, passwords=PASSWORDS, ttl_s=60, now_ms=1)
    body = sealed.removesuffix("~2")
    at = position % len(body)
    if letter == "~":
        body = body[:at]  # all that follows a ~ is dropped
    changed = body[:at] + letter + body[at + 1 :]
    if changed == body:
        return
    proven = ProvenKeys()
    unseal(sealed, passwords=PASSWORDS, now_ms=1, proven=proven)
    for known in (None, proven):
        with pytest.raises(SealError):
            unseal(changed + "~2", passwords=PASSWORDS, now_ms=1, proven=known)


@given(payloads=st.lists(st.dictionaries(st.text(), JSON), min_size=1, max_size=5))
def test_keys_that_are_kept_open_each_seal_whatever_they_opened_before(
    payloads: list[dict[str, Any]],
) -> None:
    """Of one pair of salts, which only the same random numbers would bring."""
    salt, proven = Nonces.random(), ProvenKeys()
    for payload in payloads:
        nonces = Nonces(salt.encryption_salt, Nonces.random().iv, salt.mac_salt)
        sealed = seal(payload, passwords=PASSWORDS, ttl_s=0, now_ms=1, nonces=nonces)
        unsealed = unseal(sealed, passwords=PASSWORDS, now_ms=1, proven=proven)
        assert unsealed.payload == payload
    assert len(proven) == 1


def test_a_seal_that_is_known_still_ends() -> None:
    proven = ProvenKeys()
    sealed = seal({}, passwords=PASSWORDS, ttl_s=60, now_ms=0)
    unseal(sealed, passwords=PASSWORDS, now_ms=119_999, proven=proven)
    with pytest.raises(SealError, match="expired"):
        unseal(sealed, passwords=PASSWORDS, now_ms=120_000, proven=proven)


def test_a_seal_that_is_known_is_nothing_without_its_password() -> None:
    proven = ProvenKeys()
    sealed = seal({}, passwords=PASSWORDS, ttl_s=0, now_ms=1)
    unseal(sealed, passwords=PASSWORDS, now_ms=1, proven=proven)
    with pytest.raises(SealError, match="unknown-password"):
        unseal(sealed, passwords={"2": PASSWORDS["1"]}, now_ms=1, proven=proven)
    with pytest.raises(SealError, match="invalid"):
        unseal(sealed, passwords={"1": "B" * 32}, now_ms=1, proven=proven)


def test_nobody_without_the_password_makes_keys_be_kept() -> None:
    """Else made-up salts would push out the keys of everybody."""
    proven = ProvenKeys()
    for number in range(20):
        forged = seal({}, passwords={"1": f"{number:032}"}, ttl_s=0, now_ms=1)
        with pytest.raises(SealError, match="invalid"):
            unseal(forged, passwords=PASSWORDS, now_ms=1, proven=proven)
    assert len(proven) == 0


def test_keys_that_are_kept_are_bounded_and_the_longest_unused_go() -> None:
    proven = ProvenKeys(most=2)
    first, second, third = (
        seal({}, passwords=PASSWORDS, ttl_s=0, now_ms=1) for _ in range(3)
    )
    kept: list[set[str]] = []
    for value in (first, second, first, third):
        unseal(value, passwords=PASSWORDS, now_ms=1, proven=proven)
        kept.append({value for value in (first, second, third) if keeps(proven, value)})
    assert kept == [{first}, {first, second}, {first, second}, {first, third}]


def keeps(proven: ProvenKeys, value: str) -> bool:
    _, _, salt, _, _, _, mac_salt, _ = value.encode().split(b"*")
    name = (PASSWORDS["1"], mac_salt, salt)
    return name in proven._kept


@given(password=st.text(), salt=st.text())
def test_keys_are_those_of_pbkdf2(password: str, salt: str) -> None:
    key = hashlib.pbkdf2_hmac("sha1", password.encode(), salt.encode(), 1, 32)
    assert derive(password, salt.encode()) == key


@pytest.mark.parametrize(
    "padded",
    [
        b"{}" + b"\x0e" * 13 + b"\0",
        b"{}" + b" " * 13 + b"\x11" * 17,
        b"{}" + b"\x0d" + b"\x0e" * 13,
        b"{}" + b" " * 14,
        b"\x10" * 16,
    ],
)
def test_what_is_padded_wrong_is_refused(
    padded: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only who has the password can seal such a thing: the MAC is right.

    The last one is padded right, but there is nothing in it.
    """
    monkeypatch.setattr("session.seal_keys._pad", lambda plain: padded)
    sealed = seal({}, passwords=PASSWORDS, ttl_s=60, now_ms=1)
    with pytest.raises(SealError, match="invalid"):
        _ = unseal(sealed, passwords=PASSWORDS, now_ms=1).payload


# What binascii says, and we.
NOT_DECODED = "(?i)not whole blocks|base64|padding|excess data"


def test_only_an_iv_and_whole_blocks_in_base64url_are_decrypted() -> None:
    """The sum of both may be whole blocks all the same."""
    keys = SealKeys((PASSWORDS["1"], b"mac salt", b"salt"))
    iv, blocks = keys.encrypt(bytes(range(16)), b"{}")
    assert keys.decrypt(iv, blocks) == b"{}"
    for wrong in (b"", iv[:-1], iv[:-2], iv + b"AA", iv + b"==", b"+" + iv[1:]):
        with pytest.raises(ValueError, match=NOT_DECODED):
            keys.decrypt(wrong, blocks)
    for wrong in (blocks[:-1], blocks + b"AA", blocks + b"==", b"/" + blocks[1:]):
        with pytest.raises(ValueError, match=NOT_DECODED):
            keys.decrypt(iv, wrong)
    for pair in ((iv, b""), (b"A" * 18, b"A" * 26)):  # of 13 bytes and 19
        with pytest.raises(ValueError, match="not whole blocks"):
            keys.decrypt(*pair)


@given(value=st.text(max_size=200))
def test_any_text_is_refused_by_a_reason(value: str) -> None:
    for text in (value, f"Fe26.2*1*{value}", "*".join(["Fe26.2", "1", *value])):
        with pytest.raises(SealError):
            unseal(text, passwords=PASSWORDS, now_ms=1)


def test_a_value_that_is_too_long_is_refused_before_any_work() -> None:
    value = "Fe26.2*" + "1" * MAX_LENGTH
    with pytest.raises(SealError):
        unseal(value, passwords=PASSWORDS, now_ms=1)


def test_a_percent_encoded_value_is_read() -> None:
    sealed = seal({"a": 1}, passwords=PASSWORDS, ttl_s=0, now_ms=1)
    encoded = sealed.replace("*", "%2A").replace("~", "%7E")
    assert unseal(encoded, passwords=PASSWORDS, now_ms=1).payload == {"a": 1}


def test_the_newest_password_seals_whatever_the_order() -> None:
    both = {"10": "B" * 32, "9": "A" * 32}
    sealed = seal({}, passwords=both, ttl_s=0, now_ms=1)
    assert sealed.split("*")[1] == "10"


def test_one_password_is_the_map_with_id_1() -> None:
    assert parse_passwords("x" * 32) == {"1": "x" * 32}
    both = {"1": "x" * 32, "2": "y" * 32}
    assert parse_passwords(json.dumps(both)) == both


@pytest.mark.parametrize(
    "text",
    ["short", '{"1": "short"}', '{"a": "%s"}' % ("x" * 32), "{", "{}", '{"1":2}'],
)
def test_an_unusable_password_is_refused_without_being_told(text: str) -> None:
    with pytest.raises(ValueError, match="password") as caught:
        parse_passwords(text)
    assert "short" not in str(caught.value).replace("shorter", "")


@pytest.mark.parametrize(
    "sample",
    [
        "complex_password_at_least_32_characters_long",
        "correct-horse-battery-staple-0123456789-alpha",
        "a" * 64,
        "change-me-change-me-change-me-change-me",
    ],
)
def test_a_sample_password_looks_weak(sample: str) -> None:
    assert weakness(sample) is not None


def test_random_passwords_look_strong() -> None:
    source = random.Random(1)  # noqa: S311 - the same samples every time
    for _ in range(2000):
        raw = source.randbytes(48)
        for text in (raw.hex(), base64.b64encode(raw), base64.urlsafe_b64encode(raw)):
            text = text if isinstance(text, str) else text.decode()
            assert weakness(text) is None, text
