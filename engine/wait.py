"""What an execution is waiting for.

A `Wait` stands for the awaitables that one field of one level gave, one for each
position or one for the whole level. It wakes the run when the last one is done; where
a failure would turn an ancestor null also when one fails, so that what is pending
below that ancestor is cancelled early.

A `Turn` stands for one awaitable that nothing can cancel before it ends, but the end of
the run: the run awaits it itself, and nobody has to find it. It is what makes a `Wait`.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from types import CoroutineType
from typing import TYPE_CHECKING, Final, TypeAlias

from .leaf import dispose
from .level import Level
from .plan import Field, Slot, Value

if TYPE_CHECKING:
    from .run import Run

# Gets run, field and level, the rows, their slots (None: all are the field itself) and
# the values.
Then: TypeAlias = Callable[
    ["Run", Field, Level, Sequence[int], Sequence[Slot] | None, list[Value]], None
]

# What a `Wait` is made of, its class first; the values are one.
Turn: TypeAlias = (
    "tuple[type[Wait], Level, Field, Sequence[int], Sequence[Slot] | None,"
    " list[Value], Then]"
)
# Where its values stand.
VALUES: Final = 5


class Wait:
    """Awaitables at positions of one field; `then` gets what they came to.

    The positions are ascending. `then` gets those that still exist and have a value;
    failures have been reported before.
    """

    __slots__ = (
        "at",
        "dropped",
        "field",
        "left",
        "level",
        "rows",
        "run",
        "slots",
        "then",
        "values",
    )

    def __init__(
        self,
        run: Run,
        level: Level,
        field: Field,
        rows: Sequence[int],
        slots: Sequence[Slot] | None,
        values: list[Value],
        then: Then,
    ) -> None:
        self.run = run
        self.level = level
        self.field = field
        self.rows = rows
        self.slots = slots
        self.values = values
        self.then = then
        self.dropped: set[int] = set()
        level.waits.append(self)
        run.active[self] = None
        run.fresh.append(self)

    def turn(self) -> Turn:
        """The same, of one awaitable, that the run awaits itself."""
        return (
            type(self),
            self.level,
            self.field,
            self.rows,
            self.slots,
            self.values,
            self.then,
        )

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin all of them, and wake the run when they end."""
        for n, value in enumerate(self.values):
            if n not in self.dropped:
                self.values[n] = begun(value, loop)
        self.left = len(self.values) - len(self.dropped)
        if len(self.values) > 1 and self.slots is None and self.field.nullable[0]:
            self.at = 0
            self.advance(None)
            return
        for n, future in enumerate(self.values):
            if n not in self.dropped:
                future.add_done_callback(self.ended)

    def advance(self, _future: object) -> None:
        """Look for one that is pending still; a failure can wait for the others."""
        values = self.values
        for n in range(self.at, len(values)):
            future = values[n]
            if n not in self.dropped and not future.done():
                self.at = n
                future.add_done_callback(self.advance)
                return
        self.left = 0
        self.run.wake(self)

    def ended(self, future: asyncio.Future[Value]) -> None:
        """One is done; a failure is reported at once."""
        self.left -= 1
        if self.left == 0 or future.cancelled() or future.exception() is not None:
            self.run.wake(self)

    def settle(self) -> None:
        """Report what failed; if nothing is pending, go on with the values.

        Raises: CancelledError, KeyboardInterrupt … of an awaitable that nobody dropped.
        """
        if self not in self.run.active:
            return  # woken more than once
        if self.left == 0 and not self.dropped:
            try:
                results = [future.result() for future in self.values]
            except BaseException:
                self.report_failures()
            else:
                self.go_on(self.rows, self.slots, results)
                return
        else:
            self.report_failures()
        if self.left == 0:
            self.finish()

    def report_failures(self) -> None:
        """Report those that failed since the last time."""
        for n, future in enumerate(self.values):
            if (
                n not in self.dropped
                and future.done()
                and (future.cancelled() or future.exception() is not None)
            ):
                self.dropped.add(n)
                self.report(n, failure(future))

    def finish(self) -> None:
        """Hand over the values of the positions that are left."""
        kept = [n for n in range(len(self.values)) if n not in self.dropped]
        self.go_on(
            [self.rows[n] for n in kept],
            self.slots and [self.slots[n] for n in kept],
            [self.values[n].result() for n in kept],
        )

    def go_on(
        self, rows: Sequence[int], slots: Sequence[Slot] | None, values: list[Value]
    ) -> None:
        """It is over: go on with the values of these positions."""
        self.remove()
        self.then(self.run, self.field, self.level, rows, slots, values)

    def remove(self) -> None:
        """Nobody has to find it any more."""
        del self.run.active[self]
        self.level.waits.remove(self)

    def report(self, n: int, error: Exception) -> None:
        """The awaitable at position n failed."""
        slot = self.slots[n] if self.slots else ()
        self.run.fail(error, self.level, self.rows[n], self.field, slot)

    def drop(self, row: int, slot: Slot = ()) -> None:
        """The row, or the list at this slot, became null: nobody needs its values."""
        lo = bisect_left(self.rows, row)
        for n in range(lo, bisect_right(self.rows, row, lo)):
            at = self.slots[n] if self.slots else ()
            if n not in self.dropped and at[: len(slot)] == slot:
                self.cancel(n)

    def cancel(self, n: int) -> None:
        """Cancel one, unless a position that still exists waits for the same future."""
        self.dropped.add(n)
        value = self.values[n]
        if isinstance(value, asyncio.Future):
            if isinstance(value, asyncio.Task) or not self.run.wants(value):
                value.cancel()
            value.add_done_callback(retrieve)
        else:
            dispose(value)
        # One that has begun tells of its end.
        if len(self.dropped) == len(self.values) and self in self.run.fresh:
            self.run.fresh.remove(self)
            self.remove()

    def abandon(self) -> list[asyncio.Future[Value]]:
        """Cancel everything; the futures that have yet to end."""
        pending: list[asyncio.Future[Value]] = []
        for value in self.values:
            if isinstance(value, asyncio.Future):
                value.add_done_callback(retrieve)
                if value.cancel():
                    pending.append(value)
            else:
                dispose(value)
        return pending


class BatchWait(Wait):
    """One awaitable for many rows: cancelled when the last of them is dead."""

    __slots__ = ()

    def report(self, n: int, error: Exception) -> None:
        """The failure of a batch is the failure of each of its rows."""
        self.run.fail_all(error, self.level, self.rows, self.field)

    def finish(self) -> None:
        """There is no answer."""
        self.remove()

    def drop(self, row: int, slot: Slot = ()) -> None:
        """Cancel when no row is left that wants it."""
        outs = self.level.outs
        if not self.dropped and all(outs[r] is None for r in self.rows):
            self.cancel(0)


def failure(future: asyncio.Future[Value]) -> Exception:
    """The error that a future ended with.

    Raises: what it ended with, if that is not an error of a field.
    """
    if future.cancelled():
        raise asyncio.CancelledError
    error = future.exception()
    if isinstance(error, Exception):
        return error
    raise error or RuntimeError("the future has a value")


def retrieve(future: asyncio.Future[Value]) -> None:
    """Nobody wants the outcome; say so, or asyncio logs that it was not retrieved."""
    if not future.cancelled() and future.exception() is None:
        dispose(future.result())


def begun(value: Value, loop: asyncio.AbstractEventLoop) -> asyncio.Future[Value]:
    """A future of any awaitable, in a task of its own unless it is one; a failed one
    if it only looks like an awaitable.
    """
    if isinstance(value, CoroutineType):
        return loop.create_task(value)
    try:
        return asyncio.ensure_future(value, loop=loop)
    except TypeError as error:
        future: asyncio.Future[Value] = loop.create_future()
        future.set_exception(error)
        return future
