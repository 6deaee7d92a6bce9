"""The loaders: what is shared stays alive, what is one's own fails alone."""

import asyncio
import gc
from types import SimpleNamespace

import pytest

from resolvers.batching import (
    MAX_BATCH,
    BatchLoader,
    OnceLoader,
    align_by_id,
    align_many,
    each,
)


class Doubler(BatchLoader[int, int]):
    def __init__(self):
        super().__init__()
        self.batches = []
        self.failure = None

    async def load_batch(self, keys):
        self.batches.append(keys)
        await asyncio.sleep(0.01)
        if self.failure:
            raise self.failure
        return [ValueError("odd") if key == 13 else 2 * key for key in keys]


async def test_keys_of_one_turn_are_one_batch_and_are_kept():
    loader = Doubler()
    assert await asyncio.gather(*[loader.load(n) for n in (1, 2, 1)]) == [2, 4, 2]
    assert await loader.load(2) == 4
    assert loader.batches == [[1, 2]]


async def test_batches_are_bounded():
    loader = Doubler()
    await asyncio.gather(*[loader.load(n) for n in range(20, 20 + 2 * MAX_BATCH + 1)])
    assert [len(batch) for batch in loader.batches] == [MAX_BATCH, MAX_BATCH, 1]


async def test_a_cancelled_waiter_takes_nobody_along():
    loader = Doubler()
    impatient = asyncio.ensure_future(loader.load(1))
    patient = asyncio.ensure_future(loader.load(1))
    await asyncio.sleep(0.005)
    impatient.cancel()
    assert await patient == 2
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert await loader.load(1) == 2
    assert loader.batches == [[1]]


async def test_one_bad_key_fails_alone():
    loader = Doubler()
    good, bad = await each(loader.load(n) for n in (1, 13))
    assert good == 2
    assert isinstance(bad, ValueError)


async def test_a_failed_call_fails_every_key_and_is_tried_again_later():
    loader = Doubler()
    loader.failure = ConnectionError("down")
    assert await each(loader.load(n) for n in (1, 2)) == [loader.failure] * 2
    loader.failure = None
    assert await loader.load(1) == 2


async def test_a_failure_that_nobody_waits_for_any_more_makes_no_noise(caplog):
    loader = Doubler()
    loader.failure = ConnectionError("down")
    waiting = asyncio.ensure_future(loader.load(1))
    await asyncio.sleep(0.005)
    waiting.cancel()
    await asyncio.sleep(0.02)
    assert waiting.cancelled()
    assert caplog.records == []


async def test_primed_rows_are_not_fetched():
    loader = Doubler()
    loader.prime_all({1: 100, 2: 200})
    assert await asyncio.gather(loader.load(1), loader.load(2), loader.load(3)) == [
        100,
        200,
        6,
    ]
    assert loader.batches == [[3]]


async def test_relations_that_are_not_set_or_known_are_there_at_once():
    loader = Doubler()
    loader.prime_all({1: 100})
    assert loader.load_all([None, 1]) == [None, 100]
    assert loader.batches == []


async def test_many_keys_are_one_call_and_a_bad_one_is_an_exception_in_its_place():
    loader = Doubler()
    loader.prime_all({1: 100})
    loading = loader.load_all([4, None, 1, 13, 4])
    await asyncio.sleep(0.005)
    assert loader.batches == [[4, 13]]  # on its way before anybody awaits it
    first, nothing, known, bad, again = await loading
    assert (first, nothing, known, again) == (8, None, 100, 8)
    assert isinstance(bad, ValueError)


async def test_rows_that_came_along_need_no_key():
    loader = Doubler()
    row = object()
    assert loader.load_refs([row, None]) == [row, None]
    mixed = loader.load_refs(["ab", row, None])
    assert await mixed == ["abab", row, None]
    assert loader.batches == [["ab"]]


async def test_a_row_that_is_known_is_not_replaced_by_another_way():
    loader = Doubler()
    loader.prime_all({1: 100})
    loader.prime_all({1: 200, 2: 300})
    assert loader.load_all([1, 2]) == [100, 300]


class Doubling:
    """A call upstream; `load` as the loader over it has it."""

    def __init__(self):
        self.load = OnceLoader(self.load_one).load
        self.calls = []
        self.failure = None

    async def load_one(self, key):
        self.calls.append(key)
        await asyncio.sleep(0.01)
        if self.failure:
            raise self.failure
        return 2 * key


async def test_equal_keys_are_one_call_and_others_calls_of_their_own():
    loader = Doubling()
    keys = (1, 2, 1)
    assert await asyncio.gather(*[loader.load(n) for n in keys]) == [2, 4, 2]
    assert await loader.load(2) == 4
    assert loader.calls == [1, 2]


async def test_a_failed_call_is_made_again_when_it_is_asked_for_again():
    loader = Doubling()
    loader.failure = ConnectionError("down")
    assert await each([loader.load(1), loader.load(1)]) == [loader.failure] * 2
    loader.failure = None
    assert await loader.load(1) == 2
    assert loader.calls == [1, 1]


async def test_a_cancelled_waiter_does_not_end_the_call_of_others():
    loader = Doubling()
    patient = asyncio.ensure_future(loader.load(1))
    impatient = asyncio.ensure_future(loader.load(1))
    await asyncio.sleep(0.005)
    impatient.cancel()
    assert await patient == 2
    assert loader.calls == [1]


async def test_when_the_first_goes_away_another_makes_the_call_for_the_rest():
    loader = Doubling()
    first, second, third = [asyncio.ensure_future(loader.load(1)) for _ in range(3)]
    await asyncio.sleep(0.005)
    first.cancel()
    assert await asyncio.gather(second, third) == [2, 2]
    assert first.cancelled()
    assert loader.calls == [1, 1]


async def test_a_failed_call_that_one_waits_for_makes_no_noise(caplog):
    loader = Doubling()
    loader.failure = ConnectionError("down")
    with pytest.raises(ConnectionError):
        await loader.load(1)
    gc.collect()
    assert caplog.records == []


async def test_each_passes_a_cancellation_on():
    async def cancelled():
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await each([cancelled()])


def test_rows_are_aligned_by_key_and_never_by_order():
    c, a = SimpleNamespace(id="c"), SimpleNamespace(id="a")
    assert align_by_id(["a", "b", "c"], [c, a]) == [a, None, c]
    assert align_many(["a", "b"], {"b": [1, 2]}) == [[], [1, 2]]
