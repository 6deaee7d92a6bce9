"""Uploads under faults: what is in the storage afterwards, and what the client is told.

As test_writes.py for the other writes; an upload has two steps that may fail, the
record at Conduit and the bytes at the storage host. One whose outcome nobody told is
taken back, so the client hears that it failed, and may send it again; where there is
nothing to take back yet, that it is unknown.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from own_conduit import OwnConduit
from upload_harness import BIG, Upload
from writes import signed_in

from harness import Caller, Sandbox

FAULTS = {
    "reset": {"reset": True},
    "500": {"status": 500, "body": {"message": "something broke"}},
    "502": {"status": 502, "body": "<html>Bad Gateway</html>"},
    "504": {"status": 504, "body": {"error": "upstream timeout"}},
    "no answer": {"hang": True},
}
# Of the record only: a storage host's 200 is its word, whatever text comes with it.
OF_THE_RECORD = {
    "nonsense": {"status": 200, "body": "<h1>welcome</h1>"},
    "broken off": {"truncate": 1, "after": "after"},
}
CASES = [
    *(("record", fault) for fault in (FAULTS | OF_THE_RECORD).values()),
    *(("bytes", fault) for fault in FAULTS.values()),
]
NAMES = [
    *(f"record {name}" for name in FAULTS | OF_THE_RECORD),
    *(f"bytes {name}" for name in FAULTS),
]


def fail(conduit: OwnConduit, step: str, **fault: Any) -> None:
    if step == "record":
        conduit.fail("/storage/upload", method="POST", **fault)
    else:
        conduit.fail_storage(method="PUT", **fault)


@pytest.fixture
async def me(sandbox: Sandbox, conduit: OwnConduit) -> AsyncIterator[Caller]:
    """Over a server that gives an upstream up after a second."""
    hasty = {"UPSTREAM_TIMEOUT_S": "1", "UPSTREAM_READ_TIMEOUT_S": "1"}
    async with signed_in(sandbox, conduit, "me", **hasty) as me:
        yield me


@pytest.mark.parametrize(("step", "fault"), CASES, ids=NAMES)
async def test_an_upload_of_open_outcome_is_taken_back_and_may_be_sent_again(
    me: Caller, conduit: OwnConduit, step: str, fault: dict[str, Any]
) -> None:
    way = "multipart" if step == "record" else "PUT"  # behind them all is the same
    for after in ("before", "after"):
        if after != fault.get("after", after):
            continue  # it breaks off what it has done
        fail(conduit, step, **fault | {"after": after})
        code, unknown = await Upload(name=f"{after}.bin", key=f"{after} 1").by(way, me)
        assert code.startswith("UPSTREAM_")
        # A record that is not there may yet come: the upstream did not say no.
        assert unknown == (step == "record" and after == "before")
        conduit.heal()
        assert f"{after}.bin" not in conduit.stored()
        again = Upload(name=f"{after}.bin", key=f"{after} 2")
        file_id = await again.by(way, me)
        assert await again.by(way, me) == file_id
    assert set(conduit.stored().values()) == {BIG}


@pytest.mark.parametrize(
    ("step", "way"), [("record", "PUT"), ("bytes", "multipart")], ids=str
)
async def test_a_rate_limit_is_told_and_leaves_nothing(
    me: Caller, conduit: OwnConduit, step: str, way: str
) -> None:
    fail(conduit, step, status=429, body="Too Many Requests", times=1)
    assert await Upload().by(way, me) == ("RATE_LIMITED", False)
    assert conduit.stored() == {}
    await Upload().by(way, me)
    assert conduit.stored() == {"a.bin": BIG}


@pytest.mark.parametrize("way", ["multipart", "PUT"])
@pytest.mark.parametrize("after", ["before", "after"])
async def test_a_record_that_nobody_can_look_for_is_told_as_unknown(
    me: Caller, conduit: OwnConduit, way: str, after: str
) -> None:
    fail(conduit, "record", reset=True, after=after)
    conduit.fail("/database/function/GetFiles", status=503, body={"error": "x"})
    assert await Upload().by(way, me) == ("UPSTREAM_UNAVAILABLE", True)
    left = conduit.stored()
    assert left == ({"a.bin": b"PENDING UPLOAD"} if after == "after" else {})


@pytest.mark.parametrize("way", ["multipart", "PUT"])
async def test_an_upload_that_may_make_no_more_calls_is_taken_back_all_the_same(
    sandbox: Sandbox, conduit: OwnConduit, way: str
) -> None:
    async with signed_in(sandbox, conduit, "me", LIMIT_UPSTREAM_CALLS="1") as me:
        assert await Upload().by(way, me) == ("QUERY_TOO_COMPLEX", False)
    assert conduit.stored() == {}


async def test_a_record_without_an_address_for_its_bytes_is_taken_back(
    me: Caller, conduit: OwnConduit
) -> None:
    """As by a storage container that nobody has configured to the end."""
    file = {"_id": "f", "name": "a.bin", "createdAt": "", "updatedAt": ""}
    told = {"status": 200, "body": {"file": file, "url": "/not/absolute"}}
    fail(conduit, "record", after="after", **told)
    assert await Upload().by("PUT", me) == ("UPSTREAM_MISCONFIGURED", False)
    assert conduit.stored() == {}
