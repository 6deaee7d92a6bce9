"""Ids are checked and lower-cased before they are sent; parts are cut evenly."""

import asyncio

import pytest

from clients.chunks import concurrently, equal_chunks
from clients.errors import InvalidInputError
from clients.ids import conduit_id, flux_id

UUID = "00000000-0000-4000-8000-00000000000a"


@pytest.mark.parametrize("check", [flux_id, conduit_id])
@pytest.mark.parametrize("value", [UUID, UUID.upper()])
def test_a_uuid_in_any_case_is_lower_cased(check: object, value: str) -> None:
    assert callable(check)
    assert check(value) == UUID


def test_an_object_id_is_only_conduit_s() -> None:
    assert conduit_id("507F1F77BCF86CD799439011") == "507f1f77bcf86cd799439011"
    with pytest.raises(InvalidInputError):
        flux_id("507f1f77bcf86cd799439011")


@pytest.mark.parametrize(
    "value",
    [
        "",
        " " + UUID,
        UUID + "\n",
        UUID.replace("-", ""),
        "{" + UUID + "}",
        UUID[:-1] + "g",
        UUID[:-1] + "٣",
        "ﬁ" * 12,
        "1 or 1=1",
    ],
)
def test_anything_else_is_refused_and_not_quoted(value: str) -> None:
    for service, check in (("flux", flux_id), ("conduit", conduit_id)):
        with pytest.raises(InvalidInputError) as caught:
            check(value, field="postId")
        assert (caught.value.service, caught.value.field) == (service, "postId")
        assert not value or value not in caught.value.message


@pytest.mark.parametrize(
    ("count", "size", "lengths"),
    [(0, 3, []), (1, 3, [1]), (3, 3, [3]), (4, 3, [2, 2]), (7, 3, [2, 2, 3])],
)
def test_parts_are_few_and_even(count: int, size: int, lengths: list[int]) -> None:
    ids = [str(n) for n in range(count)]
    parts = equal_chunks(ids, size)
    assert [len(part) for part in parts] == lengths
    assert [id for part in parts for id in part] == ids


async def test_parts_run_side_by_side_and_keep_their_order() -> None:
    started = asyncio.Event()

    async def first() -> int:
        await started.wait()
        return 1

    async def second() -> int:
        started.set()
        return 2

    assert await concurrently([first(), second()]) == [1, 2]
    assert await concurrently([]) == []


async def test_a_failed_part_ends_the_others() -> None:
    ended = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def fails() -> None:
        await asyncio.sleep(0)
        raise InvalidInputError("no")

    with pytest.raises(InvalidInputError):
        await concurrently([slow(), fails()])
    await asyncio.wait_for(ended.wait(), 1)
