"""One execution of a plan: its state, what it waits for, and how it ends.

The run goes breadth-first: it reads a level, calls the resolvers of all its rows, and
enters the levels below with everything that is there. What has to be awaited is
gathered; one coroutine, `drive`, waits for it and goes on: in turns, as nearly always,
or woken by what ends. If nothing has to be awaited the result is there at once, as it
is with graphql-core.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from itertools import compress
from operator import attrgetter, not_
from types import CoroutineType
from typing import Any

from graphql import ExecutionResult, GraphQLError, located_error
from graphql.execution.values import VariableValues
from graphql.pyutils import is_awaitable

from .batch import wrong_length
from .complete import complete
from .leaf import dispose, null_error
from .level import Level
from .plan import Arguments, Field, Plan, Shared, Slot, Value
from .wait import VALUES, BatchWait, Turn, Wait, begun

running = asyncio.get_running_loop

# Not awaitable, and what most resolvers answer: spares asking.
PLAIN = frozenset((list, str, int, dict, type(None)))
# Awaitable, whatever the instance.
AWAITABLE = frozenset((CoroutineType, asyncio.Future, asyncio.Task))

FIRST = range(1)
UNREST = attrgetter("field.unrest")


def is_late(value: Value) -> bool:
    """Whether the value of a resolver has to be awaited."""
    class_ = value.__class__
    return class_ in AWAITABLE or (class_ not in PLAIN and is_awaitable(value))


class Run:
    """The state of one execution."""

    # Of few runs only.
    variables_lent: VariableValues | None = None
    loop: asyncio.AbstractEventLoop | None = None
    waiter: asyncio.Future[None] | None = None

    def __init__(
        self,
        plan: Plan,
        variables: VariableValues,
        arguments: Shared,
        root_value: Value,
        context: Value,
        operation_extensions: Value = None,
    ) -> None:
        self.plan = plan
        self.context = context
        # Equal ones are those of other runs too.
        self.variables = variables
        # Of fields whose calls may share them; those that equal variables came to.
        self.arguments = arguments
        self.operation_extensions = operation_extensions
        self.errors: list[tuple[tuple[int, ...], GraphQLError]] = []
        self.turns: list[Turn] = []
        # What is pending otherwise, and of it what has not begun, what has ended.
        self.active: dict[Wait, None] = {}
        self.fresh: list[Wait] = []
        self.ready: list[Wait] = []
        self.queue = plan.serial
        self.background: set[asyncio.Future[Any]] = set()
        self.root = Level(plan.root, [root_value])

    def lent_variables(self) -> VariableValues:
        """The variables for a resolver, which may change what it is given."""
        lent = self.variables_lent
        if lent is None:
            own = {
                name: value.copy() if value.__class__ is list else value
                for name, value in self.variables.coerced.items()
            }
            lent = self.variables_lent = VariableValues(self.variables.sources, own)
        return lent

    # -- the way through --

    def execute(self) -> ExecutionResult | Coroutine[Any, Any, ExecutionResult]:
        """Run as far as nothing has to be awaited."""
        root, blank, selection = self.root, self.plan.blank, self.plan.root
        if blank is None:
            self.proceed(root, selection.read(self, root, root.sources))
        else:
            root.outs.append(blank.copy())
            self.resolve_row(selection.resolved, root)
        if self.queue:
            self.serially()
        return self.drive() if self.turns or self.active else self.result()

    def serially(self) -> None:
        """Start root fields of a mutation, one after the other."""
        root = self.root
        while self.queue and root.outs[0] is not None:
            if self.turns or self.active:
                return
            field, *self.queue = self.queue
            self.resolve_row([field], root)

    async def drive(self) -> ExecutionResult:
        """Await what is pending until nothing is left."""
        try:
            self.begin()
            while self.turns or self.active:
                if self.turns:
                    _, level, field, rows, slots, values, then = self.turns[0]
                    try:
                        value = await values[0]
                    except Exception as error:
                        del self.turns[0]
                        self.fail_all(error, level, rows, field, slots)
                    else:
                        del self.turns[0]
                        then(self, field, level, rows, slots, [value])
                else:
                    await self.settle()
                if self.queue:
                    self.serially()
                if self.fresh:
                    self.begin()
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

    def begin(self) -> None:
        """Begin what is new; what is awaited in turns runs beside the first of it."""
        if self.fresh:
            self.divide()
        if len(self.turns) > 1:
            # Asked for once: on CPython 3.11 it is a system call.
            loop = self.loop = self.loop or running()
            for turn in self.turns[1:]:
                values = turn[VALUES]
                values[0] = begun(values[0], loop)

    def divide(self) -> None:
        """All that is pending takes turns if it may; what is new begins if not."""
        self.leave_turns()
        fresh, self.fresh = self.fresh, []
        if self.may_take_turns(fresh):
            for wait in sorted(fresh, key=UNREST, reverse=True):
                wait.remove()
                self.turns.append(wait.turn())
            return
        loop = self.loop = self.loop or running()
        for wait in fresh:
            wait.begin(loop)

    def leave_turns(self) -> None:
        """What was to be awaited in turns is new again, before all else that is."""
        turns, self.turns = self.turns, []
        others, self.fresh = self.fresh, []
        for kind, level, field, rows, slots, values, then in turns:
            kind(self, level, field, rows, slots, values, then)
        self.fresh += others

    def may_take_turns(self, fresh: list[Wait]) -> bool:
        """Whether the run may await these itself.

        There must be no reason to go on before all have ended, nor to cancel any.
        """
        if len(fresh) != len(self.active):
            return False
        unrest = 0
        for wait in fresh:
            if len(wait.values) > 1:
                return False
            # An item of a list that may not be null takes with it what is beside it.
            unrest += wait.field.unrest if wait.slots is None else 2
        return unrest < 2 or len(fresh) == 1

    async def settle(self) -> None:
        """Await that something ends which wakes the run, and deal with it."""
        if not self.ready:
            self.waiter = (self.loop or running()).create_future()
            await self.waiter
        ready, self.ready = self.ready, []
        for wait in ready:
            wait.settle()

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
            complete(self, field, level, range(len(values)), None, values)
        if len(level.outs) == 1:
            self.resolve_row(selection.resolved, level)
        else:
            for field in selection.resolved:
                self.resolve(field, level)

    def resolve(self, field: Field, level: Level) -> None:
        """Call the resolver of a field for the living rows of a level."""
        rows = level.alive()
        if not rows:
            return
        arguments = field.constants
        try:
            if arguments is None:
                arguments = self.arguments_of(field)
            if field.batch is not None:
                self.resolve_batch(field, level, rows, arguments)
                return
        except Exception as error:
            self.fail_all(error, level, rows, field)
            return
        values = self.call(field, level, rows, arguments)
        late = [is_late(value) for value in values]
        if any(late):
            waiting, awaited = list(compress(rows, late)), list(compress(values, late))
            Wait(self, level, field, waiting, None, awaited, complete)
            there = list(map(not_, late))
            rows, values = list(compress(rows, there)), list(compress(values, there))
        complete(self, field, level, rows, None, values)

    def resolve_row(self, fields: Sequence[Field], level: Level) -> None:
        """Call the resolvers of these fields for a level of one row, as the root is."""
        in_turns = level.up is None and self.plan.in_turns
        for field in fields:
            call, arguments = field.call, field.constants
            if call is None:
                self.resolve(field, level)
                continue
            if level.outs[0] is None:
                return
            try:
                if arguments is None:
                    arguments = self.arguments.get(field.arguments)
                    if arguments is None:
                        arguments = self.arguments_of(field)
                value = call(self, field, level, 0, level.sources[0], arguments)
            except Exception as error:
                value = error
            if value.__class__ is not CoroutineType and not is_late(value):
                complete(self, field, level, FIRST, None, [value])
            elif in_turns and not self.active:
                turn = (Wait, level, field, FIRST, None, [value], complete)
                # First what has something below it to be begun.
                self.turns.insert(0 if field.unrest else len(self.turns), turn)
            else:
                Wait(self, level, field, FIRST, None, [value], complete)

    def arguments_of(self, field: Field) -> Arguments:
        """The arguments of a field, made once for equal variables if calls may share
        them.
        """
        if not field.share_arguments:
            return field.arguments(self)
        found = self.arguments.get(field.arguments)
        if found is None:
            found = self.arguments[field.arguments] = field.arguments(self)
        return found

    def call(
        self, field: Field, level: Level, rows: Sequence[int], arguments: Arguments
    ) -> list[Value]:
        """Call a resolver for each row."""
        call = field.call
        assert call is not None  # noqa: S101 (compile.py sees to it)
        sources = level.sources
        values: list[Value] = []
        for n, row in enumerate(rows):
            try:
                if n and not field.share_arguments:
                    arguments = self.arguments_of(field)
                value = call(self, field, level, row, sources[row], arguments)
            except Exception as error:
                value = error
            values.append(value)
        return values

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
            self.fail_all(error, level, rows, field)
            return
        complete(self, field, level, rows, None, values)

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
                Wait(self, level, field, rows, None, values, complete)

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
        return any(future is turn[VALUES][0] for turn in self.turns) or any(
            value is future and n not in wait.dropped
            for wait in self.active
            for n, value in enumerate(wait.values)
        )

    def abandon(self) -> list[asyncio.Future[Any]]:
        """Cancel everything that is pending; the futures that have yet to end."""
        self.leave_turns()
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

    def fail_all(
        self,
        error: Exception,
        level: Level,
        rows: Sequence[int],
        field: Field,
        slots: Sequence[Slot] | None = None,
    ) -> None:
        """The same of what one awaitable, or one call, was to give to all of these."""
        for row in rows:
            self.fail(error, level, row, field, slots[0] if slots else ())

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
        errors: list[GraphQLError] | None = None
        if self.errors:
            self.errors.sort(key=lambda entry: entry[0])
            errors = [error for _, error in self.errors]
        if self.root.children:
            self.root.let_go()
        return ExecutionResult(self.root.outs[0], errors)
