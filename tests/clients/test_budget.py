"""The budget of an upstream: who gets a token when, by a clock that tests turn."""

import asyncio
import random

import pytest
from clock import timeless

from clients.budget import CALL_S, Budget, Grant, LocalLedger, Rate
from clients.errors import RateLimitedError

FLUX = Rate(100, 60)
CONDUIT = Rate(50, 1)
TEN = Rate(10, 60)


def budget(rate: Rate) -> Budget:
    return Budget("flux", rate, LocalLedger(rate))


def now() -> float:
    return asyncio.get_running_loop().time()


async def taken(budget: Budget, count: int, timeout_s: float) -> list[float | None]:
    """When each of so many calls at once got its token, or was told to wait."""

    async def one() -> float:
        began = now()
        try:
            await budget.take(timeout_s=timeout_s)
        except RateLimitedError as error:
            return -(error.retry_after_s or 0)
        return now() - began

    return await asyncio.gather(*(one() for _ in range(count)))


def most_in(times: list[float], window_s: float) -> int:
    """The largest number of calls that any window of that length holds."""
    return max(sum(start <= t < start + window_s for t in times) for start in times)


def test_the_whole_budget_is_there_at_once_and_the_rest_is_told_the_wait() -> None:
    async def work() -> None:
        answers = await taken(budget(FLUX), 130, 10)
        assert answers[:100] == [0] * 100
        assert answers[100:] == [-FLUX.span_s] * 30

    timeless(work())


def test_who_comes_while_the_ledger_is_asked_is_served_too() -> None:
    class Slow(LocalLedger):
        async def ask(self, payer: str, wanted: int, spare: int) -> Grant:
            found = await super().ask(payer, wanted, 0)
            await asyncio.sleep(1)
            return found

    async def work() -> None:
        pot = Budget("flux", FLUX, Slow(FLUX))
        tasks = []
        for _ in range(10):
            tasks.append(asyncio.create_task(pot.take(timeout_s=10)))
            await asyncio.sleep(0.3)
        await asyncio.gather(*tasks)

    timeless(work())


def test_who_has_time_waits_for_its_turn_in_order() -> None:
    async def work() -> None:
        pot, order = budget(CONDUIT), []

        async def one(number: int) -> None:
            await pot.take(timeout_s=10)
            order.append((number, now()))

        began = now()
        await asyncio.gather(*(one(number) for number in range(120)))
        assert [number for number, _ in order] == list(range(120))
        waits = [round((at - began) / CONDUIT.span_s) for _, at in order]
        assert waits == [0] * 50 + [1] * 50 + [2] * 20

    timeless(work())


def test_no_window_of_the_upstream_ever_holds_more_than_its_limit() -> None:
    class Slow(LocalLedger):
        async def ask(self, payer: str, wanted: int, spare: int) -> Grant:
            await asyncio.sleep(dice.uniform(0, 0.02))
            return await super().ask(payer, wanted, spare)

    async def work() -> None:
        pot, sent = Budget("flux", CONDUIT, Slow(CONDUIT)), list[float]()

        async def one() -> None:
            await asyncio.sleep(dice.uniform(0, 8) ** dice.choice([0.3, 1]))
            try:
                await pot.take(timeout_s=dice.choice([1, 5]))
            except RateLimitedError:
                return
            # It arrives a little later than it was allowed.
            sent.append(now() + dice.uniform(0, 0.2))

        await asyncio.gather(*(one() for _ in range(400)))
        assert len(sent) > 150
        assert most_in(sent, CONDUIT.window_s) <= CONDUIT.calls

    for seed in range(8):
        dice = random.Random(seed)  # noqa: S311 - no secret
        timeless(work())


def test_who_cannot_get_a_token_in_time_is_told_at_once() -> None:
    async def work() -> None:
        pot = budget(TEN)
        await taken(pot, 10, 1)
        await asyncio.sleep(40)
        began = now()
        with pytest.raises(RateLimitedError) as refused:
            await pot.take(timeout_s=15)
        assert now() == began
        assert refused.value.service == "flux"
        assert refused.value.retry_after_s == pytest.approx(TEN.span_s - 40)
        # In time, and with time left for the call itself.
        assert await pot.take(timeout_s=30) == pytest.approx(30 - (TEN.span_s - 40))

    timeless(work())


def test_time_for_the_call_itself_is_kept() -> None:
    async def work() -> None:
        pot = budget(TEN)
        await taken(pot, 10, 1)
        with pytest.raises(RateLimitedError):
            await pot.take(timeout_s=TEN.span_s + CALL_S - 0.1)
        await pot.take(timeout_s=TEN.span_s + CALL_S + 0.1)

    timeless(work())


def test_a_renewal_is_the_first_to_get_a_token() -> None:
    async def work() -> None:
        pot, order = budget(TEN), list[str]()
        await taken(pot, 10, 1)

        async def one(name: str, *, urgent: bool = False) -> None:
            await pot.take(timeout_s=200, urgent=urgent)
            order.append(name)

        async with asyncio.TaskGroup() as group:
            group.create_task(one("read"))
            group.create_task(one("write"))
            await asyncio.sleep(1)
            group.create_task(one("renewal", urgent=True))
        assert order == ["renewal", "read", "write"]

    timeless(work())


def test_each_address_has_a_budget_of_its_own() -> None:
    async def work() -> None:
        pot = budget(TEN)
        for address in ("192.0.2.1", "192.0.2.2", ""):
            for _ in range(10):
                await pot.take(address, timeout_s=1)
        with pytest.raises(RateLimitedError):
            await pot.take("192.0.2.1", timeout_s=1)

    timeless(work())


def test_a_refusal_empties_the_budget_for_as_long_as_it_says() -> None:
    async def work() -> None:
        pot = budget(FLUX)
        await pot.take(timeout_s=1)
        pot.refused(wait_s=20)
        with pytest.raises(RateLimitedError) as refused:
            await pot.take(timeout_s=10)
        assert refused.value.retry_after_s == pytest.approx(20, abs=0.1)
        await asyncio.sleep(20)
        left = FLUX.calls - 1 - 9  # those in hand are lost
        assert await taken(pot, left, 1) == [0] * left

    timeless(work())


def test_a_refusal_without_a_word_lasts_until_our_own_oldest_call_is_forgotten() -> (
    None
):
    async def work() -> None:
        pot = budget(FLUX)
        await pot.take(timeout_s=1)
        await asyncio.sleep(30)
        pot.refused()
        with pytest.raises(RateLimitedError) as refused:
            await pot.take(timeout_s=10)
        assert refused.value.retry_after_s == pytest.approx(FLUX.span_s - 30, abs=2.1)

    timeless(work())


def test_what_was_not_sent_is_not_spent() -> None:
    async def work() -> None:
        pot = budget(TEN)
        for _ in range(50):
            await pot.take(timeout_s=1)
            pot.give_back()

    timeless(work())


def test_one_who_goes_away_while_waiting_takes_no_token_along() -> None:
    async def work() -> None:
        pot = budget(TEN)
        await taken(pot, 9, 1)
        waiting = [asyncio.create_task(pot.take(timeout_s=200)) for _ in range(5)]
        await asyncio.sleep(1)
        for task in waiting[1:4]:
            task.cancel()
        await asyncio.wait(waiting)
        assert now() - 1000 == pytest.approx(TEN.span_s)
        assert [task.cancelled() for task in waiting] == [False, *[True] * 3, False]

    timeless(work())


def test_what_was_not_sent_is_the_next_one_s_at_once() -> None:
    async def work() -> None:
        pot = budget(TEN)
        await taken(pot, 10, 1)
        waiting = [asyncio.create_task(pot.take(timeout_s=200)) for _ in range(2)]
        await asyncio.sleep(1)
        pot.give_back()
        await waiting[0]
        assert now() == 1001
        await waiting[1]
        assert now() == pytest.approx(1000 + TEN.span_s)

    timeless(work())


def test_a_token_that_comes_with_the_end_of_one_s_time_is_the_next_one_s() -> None:
    class Silent(LocalLedger):
        """Answers once."""

        async def ask(self, payer: str, wanted: int, spare: int) -> Grant:
            grant = await super().ask(payer, wanted, 0)
            if not grant.tokens:
                await asyncio.sleep(1000)
            return grant

    async def work() -> None:
        pot = Budget("flux", TEN, Silent(TEN))
        await taken(pot, 10, 1)
        asyncio.get_running_loop().call_at(1001, pot.give_back)
        late = asyncio.create_task(pot.take(timeout_s=1))
        next_one = asyncio.create_task(pot.take(timeout_s=1.9))
        with pytest.raises(RateLimitedError):
            await late
        assert await next_one == pytest.approx(0.9)
        await pot.aclose()

    timeless(work())


def test_payers_whose_calls_were_not_sent_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An upstream that is down must not fill the memory with addresses."""
    monkeypatch.setattr("clients.budget.MOST_PAYERS", 10)

    async def work() -> None:
        pot = budget(TEN)
        for number in range(100):
            await pot.take(f"192.0.2.{number}", timeout_s=10)
            await asyncio.sleep(TEN.hold_s + 1)
            pot.give_back(f"192.0.2.{number}")
        assert len(pot._purses) <= 10

    timeless(work())


class Counted:
    """A ledger that counts how often it is asked."""

    def __init__(self, rate: Rate) -> None:
        self._inner = LocalLedger(rate)
        self.asked = 0
        self.given_back = 0

    async def ask(self, payer: str, wanted: int, spare: int) -> Grant:
        self.asked += 1
        return await self._inner.ask(payer, wanted, spare)

    async def give_back(self, payer: str, grant: Grant, tokens: int) -> None:
        self.given_back += tokens
        await self._inner.give_back(payer, grant, tokens)

    async def exhaust(self, payer: str, wait_s: float | None) -> None:
        await self._inner.exhaust(payer, wait_s)


def test_the_ledger_is_asked_once_for_several_calls_and_gets_the_rest_back() -> None:
    async def work() -> None:
        ledger = Counted(FLUX)
        pot = Budget("flux", FLUX, ledger)
        for _ in range(10):
            await pot.take(timeout_s=1)
        assert ledger.asked == 1
        await pot.take(timeout_s=1)
        assert ledger.asked == 2
        await asyncio.sleep(FLUX.hold_s + 0.1)
        assert ledger.given_back == 8  # a tenth of the 89 that were left
        assert await taken(pot, 89, 1) == [0] * 89

    timeless(work())


def test_a_ledger_that_says_nothing_costs_no_more_than_the_time_there_is() -> None:
    class Silent(Counted):
        async def ask(self, payer: str, wanted: int, spare: int) -> Grant:
            await asyncio.sleep(1000)
            raise AssertionError

    async def work() -> None:
        pot = Budget("flux", FLUX, Silent(FLUX))
        began = now()
        with pytest.raises(RateLimitedError):
            await pot.take(timeout_s=3)
        assert now() - began == pytest.approx(3)
        await pot.aclose()

    timeless(work())
