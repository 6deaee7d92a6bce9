"""Writes with an idempotency key: one row per key, whatever becomes of an attempt."""

import asyncio

import pytest

from clients.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
    VaultUnavailableError,
)
from resolvers import retries
from resolvers.retries import Creation, KeyedWrite
from session.memory import MemoryVault


class Rows(Creation):
    """A work whose rows are their own ids; `failures` are raised before or after."""

    content = None

    def __init__(self, content="content"):
        self.content = content
        self.rows, self.calls, self.failures = [], [], []
        self.visible = True

    async def mark(self):
        return str(len(self.rows))

    async def write(self, mark):
        self.calls.append("write")
        await asyncio.sleep(0)
        failure, done = self.failures.pop(0) if self.failures else (None, True)
        if done:
            self.rows.append(f"row-{len(self.rows)}")
        if failure is not None:
            raise failure
        return self.rows[-1]

    async def find(self, mark):
        self.calls.append("find")
        new = self.rows[int(mark) :]
        return new[0] if new and self.visible else None

    async def read(self, id):
        self.calls.append("read")
        if id not in self.rows:
            raise NotFoundError("gone")
        return id

    def id_of(self, row):
        return row


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def claims(clock):
    return MemoryVault(clock=clock)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(retries, "WAIT_S", 0.05)
    monkeypatch.setattr(retries, "LOOK_EVERY_S", 0.01)


def write(claims, work, key="key", viewer_id="me"):
    keyed = KeyedWrite(claims, work, operation="make", viewer_id=viewer_id, key=key)
    return keyed.run()


UNKNOWN = UpstreamTimeoutError("504", outcome_unknown=True)


async def test_the_second_time_the_row_is_read(claims):
    work = Rows()
    assert [await write(claims, work) for _ in range(3)] == ["row-0"] * 3
    assert work.calls == ["write", "read", "read"]
    assert await write(claims, work, key="other") == "row-1"
    assert await write(claims, work, viewer_id="you") == "row-2"


async def test_many_at_once_write_once(claims):
    work = Rows()
    found = await asyncio.gather(*(write(claims, work) for _ in range(20)))
    assert found == ["row-0"] * 20
    assert work.calls.count("write") == 1


async def test_what_was_done_without_an_answer_is_found_by_the_retry(claims):
    work = Rows()
    work.failures = [(UNKNOWN, True)]
    with pytest.raises(UpstreamTimeoutError):
        await write(claims, work)
    assert await write(claims, work) == await write(claims, work) == "row-0"
    assert work.calls == ["write", "find", "read"]


async def test_what_may_still_be_done_is_unknown_until_it_is_settled(claims, clock):
    work = Rows()
    work.failures = [(UNKNOWN, False)]
    with pytest.raises(UpstreamTimeoutError):
        await write(claims, work)
    with pytest.raises(UpstreamUnavailableError) as undecided:
        await write(claims, work)
    assert undecided.value.outcome_unknown
    assert work.rows == []
    clock.now += retries.SETTLED_S + 1
    assert await write(claims, work) == "row-0"
    assert await write(claims, work) == "row-0"
    assert work.calls.count("write") == 2


async def test_a_settled_attempt_is_taken_over_by_one_only(claims, clock):
    work = Rows()
    work.failures = [(UNKNOWN, False)]
    with pytest.raises(UpstreamTimeoutError):
        await write(claims, work)
    clock.now += retries.SETTLED_S + 1
    work.visible = False
    found = await asyncio.gather(
        *(write(claims, work) for _ in range(5)), return_exceptions=True
    )
    assert work.rows == ["row-0"]
    assert found.count("row-0") >= 1
    assert all(
        each == "row-0" or isinstance(each, UpstreamUnavailableError) for each in found
    )


async def test_a_sure_failure_frees_the_key(claims):
    work = Rows()
    work.failures = [(ConflictError("taken"), False)]
    with pytest.raises(ConflictError):
        await write(claims, work)
    assert await write(claims, work) == "row-0"


async def test_a_cancelled_attempt_is_looked_for_and_not_repeated(claims):
    work = Rows()
    work.failures = [(asyncio.CancelledError(), True)]
    with pytest.raises(asyncio.CancelledError):
        await write(claims, work)
    assert await write(claims, work) == "row-0"
    assert work.calls == ["write", "find"]


async def test_another_input_under_the_same_key_is_refused(claims):
    await write(claims, Rows("one"))
    with pytest.raises(InvalidInputError) as refused:
        await write(claims, Rows("two"))
    assert refused.value.field == "idempotencyKey"


async def test_a_row_that_is_gone_is_not_made_again(claims):
    work = Rows()
    await write(claims, work)
    work.rows.clear()
    with pytest.raises(InvalidInputError):
        await write(claims, work)
    assert work.rows == []


async def test_a_failed_look_leaves_the_outcome_unknown(claims):
    work = Rows()
    work.failures = [(UNKNOWN, True)]
    with pytest.raises(UpstreamTimeoutError):
        await write(claims, work)

    async def broken(mark):
        raise UpstreamUnavailableError("down")

    work.find = broken
    with pytest.raises(UpstreamUnavailableError) as failed:
        await write(claims, work)
    assert failed.value.outcome_unknown


async def test_an_outage_of_redis_after_the_write_does_not_hide_it(claims):
    work = Rows()

    async def broken(*_):
        raise VaultUnavailableError("down")

    claims.replace_claim = broken
    assert await write(claims, work) == "row-0"
    # The claim stayed pending: the retry finds the row.
    assert await write(claims, work) == "row-0"
    assert work.calls == ["write", "find"]


async def test_an_outage_of_redis_before_the_write_prevents_it(claims):
    work = Rows()

    async def broken(*_):
        raise VaultUnavailableError("down")

    claims.claim = broken
    with pytest.raises(VaultUnavailableError):
        await write(claims, work)
    assert work.rows == []


class Undoing(Rows):
    """One that takes back what it does not finish; `rest` is known afterwards only."""

    takes_back = True
    receipt = "rest"
    undone = False

    def surely_failed(self, failure):
        return self.undone or super().surely_failed(failure)


async def test_an_attempt_that_lasts_is_never_taken_over(claims, clock, monkeypatch):
    """However long it lasts: it says that it lives, and its claim stays young."""
    monkeypatch.setattr(retries, "SIGN_OF_LIFE_S", 0.01)
    work, ended = Undoing(), asyncio.Event()
    write_it = work.write

    async def slowly(mark):
        await ended.wait()
        return await write_it(mark)

    work.write = slowly
    first = asyncio.create_task(write(claims, work))
    for _ in range(3):
        clock.now += retries.SETTLED_S - 1
        await asyncio.sleep(0.03)
        with pytest.raises(UpstreamUnavailableError) as undecided:
            await write(claims, Undoing())
        assert undecided.value.outcome_unknown
    ended.set()
    assert await first == await write(claims, work) == "row-0"
    assert work.calls == ["write", "read"]


async def test_a_row_that_may_be_taken_back_is_not_looked_for_before_the_end(
    claims, clock
):
    work = Undoing()
    work.failures = [(UNKNOWN, True)]
    with pytest.raises(UpstreamTimeoutError):
        await write(claims, work)
    with pytest.raises(UpstreamUnavailableError):
        await write(claims, work)
    clock.now += retries.SETTLED_S + 1
    assert await write(claims, work) == "row-0"
    assert work.calls == ["write", "find"]


async def test_a_cancelled_attempt_that_left_nothing_frees_the_key(claims):
    work = Undoing()
    work.undone = True
    work.failures = [(asyncio.CancelledError(), False)]
    with pytest.raises(asyncio.CancelledError):
        await write(claims, work)
    assert await write(claims, work) == "row-0"
    assert work.calls == ["write", "write"]


async def test_another_rest_under_the_same_key_is_refused(claims):
    first, other = Undoing(), Undoing()
    await write(claims, first)
    other.rows, other.receipt = first.rows, "another rest"
    with pytest.raises(InvalidInputError) as refused:
        await write(claims, other)
    assert refused.value.field == "idempotencyKey"


@pytest.mark.parametrize("by", ["nobody", "another"])
async def test_a_claim_that_is_lost_meanwhile_is_told_if_another_attempt_has_it(
    claims, by
):
    """Redis may have lost it, then this attempt is the only one."""
    work = Rows()
    write_it = work.write

    async def losing(mark):
        (name,) = claims._claims._values
        await claims.drop_claim(name, claims._claims.get(name))
        if by == "another":
            await claims.claim(name, "pending another attempt -", retries.KEY_LIFE_S)
        return await write_it(mark)

    work.write = losing
    if by == "nobody":
        assert await write(claims, work) == "row-0"
    else:
        with pytest.raises(UpstreamUnavailableError) as undecided:
            await write(claims, work)
        assert undecided.value.outcome_unknown
