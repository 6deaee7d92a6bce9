"""One execution of a plan: its state, what it waits for, and how it ends.

The run goes breadth-first: it reads a level, calls the resolvers of all its rows, and
enters the levels below with everything that is there. What has to be awaited is
gathered; one coroutine, `drive`, waits for it and goes on. If nothing has to be
awaited the result is there at once, as it is with graphql-core.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from graphql import ExecutionResult, GraphQLError, located_error
from graphql.execution.values import VariableValues
from graphql.pyutils import is_awaitable

from .batch import wrong_length
from .complete import complete, complete_positions
from .leaf import dispose, null_error
from .level import Level
from .plan import Arguments, Field, Plan, Shared, Slot, Value
from .wait import BatchWait, Wait

if TYPE_CHECKING:
    from collections.abc import Callable

running = asyncio.get_running_loop

# Not awaitable, and what most resolvers answer: spares asking.
PLAIN = frozenset((list, str, int, dict, type(None)))
# Awaitable, whatever the instance.
AWAITABLE = frozenset((CoroutineType, asyncio.Future, asyncio.Task))

FIRST = range(1)


def is_late(value: Value) -> bool:
    """Whether the value of a resolver has to be awaited."""
    class_ = value.__class__
    return class_ in AWAITABLE or (class_ not in PLAIN and is_awaitable(value))


class Run:
    """The state of one execution."""

    __slots__ = (
        "active",
        "arguments",
        "background",
        "context",
        "errors",
        "fresh",
        "info",
        "loop",
        "operation_extensions",
        "plan",
        "queue",
        "ready",
        "root",
        "root_value",
        "variables",
        "waiter",
    )

    def __init__(
        self,
        plan: Plan,
        root_value: Value,
        context: Value,
        variables: VariableValues,
        info: Callable[[Run, Field, Level, int], Any],
        operation_extensions: Value = None,
        arguments: Shared | None = None,
    ) -> None:
        self.plan = plan
        self.root_value = root_value
        self.context = context
        self.variables = variables
        self.info = info
        self.operation_extensions = operation_extensions
        # Of fields whose calls may share them; those that equal variables came to.
        self.arguments: Shared = {} if arguments is None else arguments
        self.errors: list[tuple[tuple[int, ...], GraphQLError]] = []
        self.active: dict[Wait, None] = {}
        self.fresh: list[Wait] = []
        self.ready: list[Wait] = []
        self.queue = list(plan.serial)
        self.loop: asyncio.AbstractEventLoop | None = None
        self.waiter: asyncio.Future[None] | None = None
        self.background: set[asyncio.Future[Any]] = set()
        self.root = Level(plan.root, [root_value])

    # -- the way through --

    def execute(self) -> ExecutionResult | Coroutine[Any, Any, ExecutionResult]:
        """Run as far as nothing has to be awaited."""
        self.proceed(self.root, self.plan.root.read(self, self.root, [self.root_value]))
        self.serially()
        return self.drive() if self.active else self.result()

    def serially(self) -> None:
        """Start root fields of a mutation, one after the other."""
        while self.queue and not self.active and self.root.outs[0] is not None:
            self.resolve(self.queue.pop(0), self.root)

    async def drive(self) -> ExecutionResult:
        """Await what is pending until nothing is left."""
        try:
            while self.active:
                here = self.begin()
                if here is not None:
                    try:
                        value = await here.values[0]
                    except Exception as error:
                        here.failed(error)
                    else:
                        here.arrived(value)
                elif self.active and not self.ready:
                    self.waiter = (self.loop or running()).create_future()
                    try:
                        await self.waiter
                    finally:
                        self.waiter = None
                ready, self.ready = self.ready, []
                for wait in ready:
                    wait.settle()
                self.serially()
        except GeneratorExit:  # closed from outside: nothing can be awaited any more
            self.abandon()
            raise
        except BaseException:
            # The request was cancelled, or a resolver ended by something that is not
            # an error of a field: leave nothing running behind.
            if pending := self.abandon():
                await asyncio.wait(pending)
            raise
        return self.result()

    def begin(self) -> Wait | None:
        """Begin what is new; gives the one that is left for the run to await itself."""
        fresh = self.fresh
        if not fresh:
            return None
        self.fresh = []
        here = self.awaited_here(fresh)
        if here is None or len(fresh) > 1:
            # Asked for once: on CPython 3.11 it is a system call.
            loop = self.loop = self.loop or running()
            for wait in fresh:
                if wait is not here:
                    wait.start(loop)
        if here is not None:
            here.started = True
        return here

    def awaited_here(self, fresh: list[Wait]) -> Wait | None:
        """The one that the run awaits itself, which spares a task.

        There must be no reason to go on before it has ended, nor to cancel any: when
        the others have ended nothing is begun, and a failure is its field's own null.
        """
        if len(fresh) != len(self.active):
            return None
        here, busy = fresh[0], 0
        for wait in fresh:
            if not wait.field.quiet:
                here, busy = wait, busy + 1
            if len(fresh) > 1 and (busy > 1 or not wait.field.nullable[0]):
                return None
        return here if len(here.values) == 1 else None

    def proceed(self, level: Level, columns: tuple[list[Value], ...]) -> None:
        """Go on with a level whose plain fields have been read and stored."""
        if level.failed:
            failed, level.failed = level.failed, None
            for row, field, error in failed:
                self.fail_row(error, level, row, field)
        if level.late:
            late, level.late = level.late, None
            self.wait_for_late(level, late)
        selection = level.selection
        for field, values in zip(selection.columns, columns, strict=True):
            complete(self, field, level, values)
        for field in selection.resolved:
            self.resolve(field, level)

    def resolve(self, field: Field, level: Level) -> None:
        """Call the resolver of a field for the living rows of a level."""
        if field.call is not None and len(level.outs) == 1:
            self.resolve_one(field, level)
            return
        rows = level.alive()
        if not rows:
            return
        arguments = field.constants
        try:
            if arguments is None:
                arguments = field.arguments(self)
            if field.batch is not None:
                self.resolve_batch(field, level, rows, arguments)
                return
        except Exception as error:
            for row in rows:
                self.fail(error, level, row, field, ())
            return
        values, awaited = self.call(field, level, rows, arguments)
        if awaited:
            waited = [values[row] for row in awaited]
            Wait(self, level, field, awaited, None, waited, complete_positions)
            if len(awaited) == len(rows):
                return
            pending = set(awaited)
            rows = [row for row in rows if row not in pending]
        complete(self, field, level, values, rows)

    def resolve_one(self, field: Field, level: Level) -> None:
        """The same for a level of one row, as the root is."""
        if level.outs[0] is None:
            return
        call, arguments = field.call, field.constants
        assert call is not None  # noqa: S101 (the caller looked)
        try:
            if arguments is None:
                arguments = field.arguments(self)
            value = call(self, field, level, 0, level.sources[0], arguments)
        except Exception as error:
            value = error
        if is_late(value):
            Wait(self, level, field, FIRST, None, [value], complete_positions)
        else:
            complete(self, field, level, [value])

    def call(
        self, field: Field, level: Level, rows: Sequence[int], arguments: Arguments
    ) -> tuple[list[Value], list[int]]:
        """Call a resolver for each row: the values, and the rows to be awaited."""
        call = field.call
        assert call is not None  # noqa: S101 (compile.py sees to it)
        sources = level.sources
        values: list[Value] = [None] * len(level.outs)
        awaited: list[int] = []
        for n, row in enumerate(rows):
            try:
                if n and not field.share_arguments:
                    arguments = field.arguments(self)
                value = call(self, field, level, row, sources[row], arguments)
            except Exception as error:
                value = error
            values[row] = value
            if is_late(value):
                awaited.append(row)
        return values, awaited

    def resolve_batch(
        self, field: Field, level: Level, rows: Sequence[int], arguments: Arguments
    ) -> None:
        """Call a batched field once for all living rows of a level."""
        sources = level.sources
        if len(rows) != len(sources):
            sources = [sources[row] for row in rows]
        assert field.batch is not None  # noqa: S101 (the caller looked)
        answer = field.batch(self, field, level, rows[0], sources, arguments)
        if answer.__class__ not in PLAIN and is_awaitable(answer):
            BatchWait(self, level, field, rows, None, [answer], Run.scatter)
        else:
            self.scatter(field, level, rows, None, [answer])

    def scatter(
        self,
        field: Field,
        level: Level,
        rows: Sequence[int],
        _slots: object,
        answers: list[Value],
    ) -> None:
        """Give each row its value of a batch."""
        try:
            values = answers[0] if isinstance(answers[0], list) else list(answers[0])
            if len(values) != len(rows):
                raise wrong_length(len(values), len(rows))
        except Exception as error:
            for row in rows:
                self.fail(error, level, row, field, ())
            return
        if len(rows) != len(level.outs):
            spread: list[Value] = [None] * len(level.outs)
            for row, value in zip(rows, values, strict=True):
                spread[row] = value
            values = spread
        complete(self, field, level, values, rows)

    def wait_for_late(
        self, level: Level, late: dict[Field, list[tuple[int, Value]]]
    ) -> None:
        """Plain fields that turned out to be awaitable."""
        outs = level.outs
        for field, found in late.items():
            for row, value in found:
                if outs[row] is None:
                    dispose(value)
            alive = [(row, value) for row, value in found if outs[row] is not None]
            if alive:
                rows, values = [row for row, _ in alive], [value for _, value in alive]
                Wait(self, level, field, rows, None, values, complete_positions)

    # -- waits --

    def wake(self, wait: Wait) -> None:
        """Something of this wait is ready to be dealt with."""
        if wait in self.active:
            self.ready.append(wait)
            if self.waiter is not None and not self.waiter.done():
                self.waiter.set_result(None)

    def wants(self, future: asyncio.Future[Any]) -> bool:
        """Whether any position that still exists waits for this very future.

        A loader gives one future to all who ask for the same key.
        """
        return any(
            value is future and n not in wait.dropped
            for wait in self.active
            for n, value in enumerate(wait.values)
        )

    def abandon(self) -> list[asyncio.Future[Any]]:
        """Cancel everything that is pending; the futures that have yet to end."""
        pending = [future for wait in self.active for future in wait.abandon()]
        return pending + [future for future in self.background if future.cancel()]

    # -- errors --

    def note(
        self, error: Exception, level: Level, row: int, field: Field, slot: Slot
    ) -> None:
        """Record the error of a position."""
        path = [*level.field_path(row, field).as_list(), *slot]
        located = located_error(error, field.nodes, path)
        self.errors.append(((*level.order(row, field), *slot), located))

    def fail(
        self, error: Exception, level: Level, row: int, field: Field, slot: Slot
    ) -> None:
        """A position has no value: report it and put null where null may be."""
        if level.holds(row, field, slot):
            self.note(error, level, row, field, slot)
            self.nullify(level, row, field, slot)

    def fail_null(self, level: Level, row: int, field: Field, slot: Slot) -> None:
        """A position is null: an error if it must not be."""
        if not field.nullable[len(slot)]:
            self.fail(null_error(field), level, row, field, slot)

    def fail_row(self, error: Exception, level: Level, row: int, field: Field) -> None:
        """A non-null plain field failed: its row was never made."""
        up = level.up
        if up is None or level.field is None:
            self.note(error, level, row, field, ())
        elif up.holds(level.parents[row], level.field, level.slot(row)):
            self.note(error, level, row, field, ())
            self.nullify(up, level.parents[row], level.field, level.slot(row))

    def nullify(self, level: Level, row: int, field: Field, slot: Slot) -> None:
        """Put null at the nearest position, from here upwards, that may be null."""
        while True:
            depth = len(slot)
            while depth and not field.nullable[depth]:
                depth -= 1
            if field.nullable[depth]:
                break
            self.kill(level, row)
            if level.up is None or level.field is None:
                return
            row, slot, field, level = (
                level.parents[row],
                level.slot(row),
                level.field,
                level.up,
            )
        slot = slot[:depth]
        for wait in list(level.waits):
            if wait.field is field:
                wait.drop(row, slot)
        for child, child_row in list(level.below(row, field, slot)):
            self.kill(child, child_row)
        level.put(row, field, slot, None)

    def kill(self, level: Level, row: int) -> None:
        """The row, and all below it, is no more: cancel what is pending for it."""
        level.outs[row] = None
        level.dead = True
        for wait in list(level.waits):
            wait.drop(row)
        for child in level.children:
            for child_row in child.rows_of(row):
                if child.outs[child_row] is not None:
                    self.kill(child, child_row)

    def result(self) -> ExecutionResult:
        """The response: errors in the order of their positions."""
        if len(self.errors) > 1:
            self.errors.sort(key=lambda entry: entry[0])
        errors = [error for _, error in self.errors]
        levels = [self.root]
        while levels:  # no reference cycles are left to the garbage collector
            level = levels.pop()
            levels += level.children
            level.children = []
        return ExecutionResult(self.root.outs[0], errors or None)
