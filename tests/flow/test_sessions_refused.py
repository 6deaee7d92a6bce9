"""What is no session of this server is refused, and logged without its value.

Over a real server process, whose log is read afterwards.
"""

import json
import secrets
from collections.abc import AsyncIterator

import httpx
import pytest
import redis
from processes_harness import Device, Servers, client, running_servers, sign_in

from harness import Sandbox
from session.seal import seal

VIEWER = "{ viewer { email } }"
NOTES = "{ notes { nodes { body } } }"
NOBODY = {"viewer": None}
FIRST = {"viewer": {"email": "first@example.com"}}
NAME = "conduit_session"
KEYS = json.dumps({"1": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="})


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with client() as http:
        yield http


@pytest.fixture
async def servers(sandbox: Sandbox) -> AsyncIterator[Servers]:
    async with running_servers(sandbox, 1) as servers:
        yield servers


def reasons(servers: Servers) -> list[str]:
    """Why values were refused, as the log tells."""
    lines = [json.loads(line) for line in servers.log().splitlines() if line[:1] == "{"]
    return [line["reason"] for line in lines if line["message"].endswith("refused")]


def value_of(device: Device) -> str:
    return device.headers["cookie"].partition("=")[2]


def showing(http: httpx.AsyncClient, value: str) -> Device:
    return Device(http, {"cookie": f"{NAME}={value}"})


async def test_a_tampered_cookie_is_refused_wherever_it_was_touched(
    servers: Servers, http: httpx.AsyncClient
) -> None:
    """Every one of the eight parts is changed in turn.

    Tried with the MAC's comparison left out of `unseal`: a longer life is let in.
    """
    [url] = servers.urls
    good = value_of(await sign_in(http, url))
    parts = good.removesuffix("~2").split("*")
    for number, part in enumerate(parts):
        first = (
            str(int(part[0]) % 9 + 1) if part[0].isdigit() else chr(ord(part[0]) ^ 3)
        )
        other = first + part[1:]
        changed = "*".join([*parts[:number], other, *parts[number + 1 :]]) + "~2"
        assert await showing(http, changed).data(url, VIEWER) == NOBODY, number
    assert await showing(http, good).data(url, VIEWER) == FIRST
    assert len(reasons(servers)) == 8
    assert set(reasons(servers)) == {"invalid", "unknown-password"}
    nothing_shown(servers, good, *parts[2:5], parts[7])


async def test_a_value_of_another_purpose_is_refused(
    servers: Servers, http: httpx.AsyncClient
) -> None:
    """Tried without the check of `use` in `_ref_for`: both are let in."""
    [url] = servers.urls
    bearer = await sign_in(http, url, bearer=True)
    token = bearer.headers["authorization"].removeprefix("Bearer ")
    cookie = value_of(await sign_in(http, url))
    assert await showing(http, token).data(url, VIEWER) == NOBODY
    swapped = Device(http, {"authorization": f"Bearer {cookie}"})
    assert await swapped.data(url, VIEWER) == NOBODY
    assert reasons(servers) == ["wrong-purpose"] * 2
    nothing_shown(servers, token, cookie)


async def test_another_seal_of_the_same_password_is_no_session(
    servers: Servers, http: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    """A magic link made with `sealData`, say, or one with a made-up vault key.

    Tried with Flux tokens minted from the seal alone: the second reads notes.
    """
    [url] = servers.urls
    await sign_in(http, url)
    with redis.Redis.from_url(sandbox.redis) as vault:
        [index] = vault.keys("mainstem:sessions:*")
    person = index.decode().removeprefix("mainstem:sessions:")
    for payload in (
        {"email": "first@example.com", "purpose": "magic-link"},
        {"userId": person, "vaultKey": secrets.token_urlsafe(24)},
    ):
        value = sealed(payload, {"1": sandbox.session_secret})
        device = showing(http, value)
        assert await device.data(url, VIEWER) == NOBODY
        assert (await device.ask(url, NOTES))["data"] == {"notes": None}


async def test_a_cookie_of_an_old_password_is_refused_when_that_is_dropped(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    """Before, while both are known, it is taken and sealed anew.

    Tried with the lowest id sealing: what the second server writes is the old one's.
    """
    old, new = secrets.token_urlsafe(36), secrets.token_urlsafe(36)
    async with running_servers(sandbox, 0) as servers:
        before = servers.start(environment(sandbox, old))
        both = servers.start(environment(sandbox, json.dumps({"1": old, "2": new})))
        after = servers.start(environment(sandbox, json.dumps({"2": new})))
        servers.wait()
        device = await sign_in(http, before)
        response = await device.post(both, VIEWER)
        assert response.json()["data"] == FIRST
        [header] = response.headers.get_list("set-cookie")
        assert header.startswith(f"{NAME}=Fe26.2*2*")
        assert await device.data(after, VIEWER) == NOBODY
        renewed = Device(http, {"cookie": header.partition(";")[0]})
        assert await renewed.data(after, VIEWER) == FIRST
        assert reasons(servers) == ["unknown-password"]
        nothing_shown(servers, value_of(device), value_of(renewed), old, new)


async def test_a_stolen_cookie_has_no_power_after_the_sign_out(
    servers: Servers, http: httpx.AsyncClient
) -> None:
    """Not over Conduit, not over Flux, not over other sessions of the person.

    Tried with Flux tokens minted from the cookie alone: the thief reads the notes.
    """
    [url] = servers.urls
    owner, other = await sign_in(http, url), await sign_in(http, url)
    thief = showing(http, value_of(owner))
    await owner.data(url, "mutation { signOut { ok } }")
    assert await thief.data(url, VIEWER) == NOBODY
    answer = await thief.ask(url, NOTES)
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    await thief.data(url, "mutation { signOut(everywhere: true) { ok } }")
    assert await other.data(url, VIEWER) == FIRST
    nothing_shown(servers, value_of(owner), value_of(other))


@pytest.mark.parametrize("mode", ["required", "read-both"])
async def test_a_vault_record_moved_to_another_key_is_refused(
    sandbox: Sandbox, http: httpx.AsyncClient, mode: str
) -> None:
    """Whoever can write to Redis cannot become somebody else by copying a record.

    Tried without the associated data and the record's own key: let in as the other.
    """
    async with running_servers(
        sandbox, 1, VAULT_ENCRYPTION=mode, VAULT_ENCRYPTION_KEYS=KEYS
    ) as servers:
        [url] = servers.urls
        mine, mine_too = await sign_in(http, url), await sign_in(http, url)
        theirs = await sign_in(http, url, "second")
        before = names(sandbox)
        with redis.Redis.from_url(sandbox.redis) as vault:
            values = {name: vault.get(name) or b"" for name in before}
            assert all(value.startswith(b"ms1.1.") for value in values.values())
            for name, other in zip(before, [*before[1:], before[0]], strict=True):
                vault.set(name, values[other])
        for device in (mine, mine_too, theirs):
            assert await device.data(url, VIEWER) == NOBODY
        moved = "tampered, or made for another vault key"
        assert reasons(servers) == [moved] * 3
        nothing_shown(servers, *(value.decode() for value in values.values()))


async def test_required_takes_no_record_in_the_clear(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    """And the way there signs nobody out, whatever process they meet.

    Tried with `required` reading both: the last is let in.
    """
    async with running_servers(sandbox, 0) as servers:
        off, both, required = (
            servers.start(
                sandbox.environment
                | {"VAULT_ENCRYPTION": mode, "VAULT_ENCRYPTION_KEYS": KEYS}
            )
            for mode in ("off", "read-both", "required")
        )
        servers.wait()
        device = await sign_in(http, both)
        for url in (off, both, required):
            assert await device.data(url, VIEWER) == FIRST
        plain = await sign_in(http, off)
        assert await plain.data(both, VIEWER) == FIRST
        assert await plain.data(required, VIEWER) == NOBODY
        assert reasons(servers) == ["not encrypted"]


def environment(sandbox: Sandbox, secret: str) -> dict[str, str]:
    return sandbox.environment | {"SESSION_SECRET": secret}


def names(sandbox: Sandbox) -> list[bytes]:
    with redis.Redis.from_url(sandbox.redis) as vault:
        return sorted(vault.scan_iter("vault:*"))


def sealed(payload: dict[str, object], passwords: dict[str, str]) -> str:
    return seal(payload, passwords=passwords, ttl_s=0, now_ms=0)


def nothing_shown(servers: Servers, *values: str) -> None:
    log = servers.log()
    assert log
    # A piece is enough to know a value by, and one may be logged cut off.
    assert [value for value in values if value[8:40] in log or value in log] == []
