"""An upload sent again with its idempotency key: the first file, never a second.

Both ways in, uploadFile and `PUT /files`, give one answer to these tests: the file, or
the code of the refusal, and whether the outcome is told as unknown.
"""

import asyncio

import pytest
import redis
from own_conduit import OwnConduit
from upload_harness import BIG, DELETE, OTHER_INPUT, PREFLIGHT, Upload
from writes import signed_in

from clients.errors import VaultUnavailableError
from harness import Caller, Sandbox
from resolvers import retries

UNDECIDED = ("UPSTREAM_UNAVAILABLE", True)
BOTH_WAYS = pytest.mark.parametrize("way", ["multipart", "PUT"])


def let_settle(sandbox: Sandbox) -> None:
    """As if the attempts so far had ended half a minute ago."""
    with redis.Redis.from_url(sandbox.redis) as store:
        for name in store.keys("mainstem:claim:*"):
            store.expire(name, retries.KEY_LIFE_S - int(retries.SETTLED_S) - 1)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolvers.retries.WAIT_S", 0.2)
    monkeypatch.setattr("resolvers.upload_attempt.CLEAN_UP_WAITS_S", (0.0, 0.01))


@BOTH_WAYS
async def test_an_upload_sent_again_gives_the_first_file(
    me: Caller, conduit: OwnConduit, way: str
) -> None:
    """Whatever its size, and also by the other way in."""
    contents = {"empty": b"", "small": b"small", "big": BIG}
    for name, content in contents.items():
        upload = Upload(content, name=name, key=name)
        made = [await upload.by(way, me) for _ in range(2)]
        made += [await upload.by(other, me) for other in ("multipart", "PUT")]
        assert made == [made[0]] * 4
    assert conduit.stored() == contents
    other = await Upload(b"small", name="other", key="another key").by(way, me)
    assert other != made[0]


async def test_a_file_without_a_name_is_made_once_too(
    me: Caller, conduit: OwnConduit
) -> None:
    headers = {**PREFLIGHT, "Idempotency-Key": '"in quotes, as the draft has it"'}
    made = [
        (await me.http.put("/files", content=b"x", headers=headers)).json()["file"]
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert len(conduit.stored()) == 1


OTHERS = {
    "last byte": Upload(BIG[:-1] + b"?"),
    "first byte": Upload(b"?" + BIG[1:]),
    "longer": Upload(BIG + b"?"),
    "name": Upload(name="b.bin"),
    "folder": Upload(folder="g"),
    "type": Upload(kind="a/c"),
}


@BOTH_WAYS
async def test_a_key_that_comes_with_another_upload_is_refused(
    me: Caller, conduit: OwnConduit, way: str
) -> None:
    """Also when the first megabyte is the same: the rest is compared as it comes."""
    await Upload().by(way, me)
    for what, other in OTHERS.items():
        assert await other.by(way, me) == OTHER_INPUT, what
    assert conduit.stored() == {"a.bin": BIG}


@BOTH_WAYS
async def test_many_at_once_with_one_key_make_one_file(
    me: Caller, conduit: OwnConduit, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resolvers.retries.WAIT_S", 20)
    conduit.fail_storage(method="PUT", delay_s=0.3, times=1)
    made = await asyncio.gather(*(Upload().by(way, me) for _ in range(5)))
    assert made == [made[0]] * 5
    assert conduit.stored() == {"a.bin": BIG}


@BOTH_WAYS
@pytest.mark.parametrize("after", ["before", "after"])
async def test_an_attempt_that_failed_may_be_repeated_at_once(
    me: Caller, conduit: OwnConduit, way: str, after: str
) -> None:
    conduit.fail_storage(method="PUT", status=500, after=after, times=1)
    assert await Upload().by(way, me) == ("UPSTREAM_ERROR", False)
    assert conduit.stored() == {}
    file_id = await Upload().by(way, me)
    assert await Upload().by(way, me) == file_id
    assert conduit.stored() == {"a.bin": BIG}


@BOTH_WAYS
@pytest.mark.parametrize("after", ["before", "after"])
async def test_what_an_attempt_could_not_take_back_is_settled_by_the_retry(
    me: Caller, conduit: OwnConduit, sandbox: Sandbox, way: str, after: str
) -> None:
    """Its bytes came and were not acknowledged, or they never came."""
    conduit.fail_storage(method="PUT", status=500, after=after, times=1)
    conduit.fail("/storage/file/", method="DELETE", status=500, body={})
    assert await Upload().by(way, me) == ("UPSTREAM_ERROR", True)
    left = dict(conduit.stored())
    assert left == {"a.bin": BIG if after == "after" else b"PENDING UPLOAD"}
    conduit.heal()
    assert await Upload().by(way, me) == UNDECIDED
    let_settle(sandbox)
    file_id = await Upload().by(way, me)
    assert await Upload().by(way, me) == file_id
    assert conduit.stored() == {"a.bin": BIG}
    puts = [each.method for each in conduit.storage.requests].count("PUT")
    assert puts == (1 if after == "after" else 2)


@BOTH_WAYS
async def test_a_success_that_redis_did_not_hear_of_is_found_by_its_bytes(
    me: Caller,
    conduit: OwnConduit,
    sandbox: Sandbox,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:

        async def down(*_: object) -> bool:
            raise VaultUnavailableError("down")

        patch.setattr("session.redis_vault.RedisVault.replace_claim", down)
        file_id = await Upload().by(way, me)
    let_settle(sandbox)
    assert await Upload(BIG[:-1] + b"?").by(way, me) == OTHER_INPUT
    assert await Upload().by(way, me) == file_id
    assert conduit.stored() == {"a.bin": BIG}


@BOTH_WAYS
async def test_a_repeated_file_that_was_deleted_is_told(
    me: Caller, conduit: OwnConduit, way: str
) -> None:
    file_id = await Upload().by(way, me)
    await me.data(DELETE, id=file_id)
    assert await Upload().by(way, me) == OTHER_INPUT
    assert conduit.stored() == {}


@BOTH_WAYS
async def test_a_key_is_the_persons_own_and_a_short_text(
    me: Caller, conduit: OwnConduit, sandbox: Sandbox, way: str
) -> None:
    mine = await Upload().by(way, me)
    async with signed_in(sandbox, conduit, "you") as you:
        assert await Upload().by(way, you) != mine
    for bad in ("", "x" * 201):
        assert await Upload(key=bad).by(way, me) == OTHER_INPUT
    with redis.Redis.from_url(sandbox.redis) as store:
        stored = [name + store.get(name) for name in store.keys("mainstem:claim:*")]
    assert len(stored) == 2
    assert not any(b"a.bin" in claim or b"a key" in claim for claim in stored)


async def test_one_key_a_request_and_a_page_of_the_list_may_send_it(
    me: Caller, conduit: OwnConduit, sandbox: Sandbox
) -> None:
    headers = [*PREFLIGHT.items(), *[("Idempotency-Key", "x")] * 2]
    answer = await me.http.put("/files", content=b"x", headers=headers)
    assert answer.status_code == 400
    friend = "https://app.example.com"
    async with signed_in(sandbox, conduit, "me", CORS_ORIGINS=friend) as caller:
        asked = {"origin": friend, "access-control-request-method": "PUT"}
        answer = await caller.http.options("/files", headers=asked)
    allowed = answer.headers["access-control-allow-headers"].split(", ")
    assert "idempotency-key" in allowed
