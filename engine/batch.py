"""Batched fields: a resolver that takes all parents of a level at once.

The marker is the entry `engine.batch` in the `extensions` of a graphql-core field, or
in the `metadata` of a strawberry field: a function, async or not,

    fn(parents: list, info, **arguments) -> list of values or exceptions, one per parent

`batched` makes a strawberry field with that marker. Under graphql-core's own executor
the same field works by a resolver per object, which collects the parents of one turn
of the event loop and calls the same function, so both executors run the same code.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from types import UnionType
from typing import Any, TypeAlias, TypeVar, Union, get_args, get_origin

import strawberry
from graphql.pyutils import is_awaitable

BATCH = "engine.batch"

T = TypeVar("T")
# What a batched field may return: the list itself if nothing has to be awaited.
Answers: TypeAlias = list[T] | Awaitable[list[T]]

# Parents, values and arguments are the schema author's: `Any` as in graphql-core.
Resolver = TypeVar("Resolver", bound=Callable[..., Any])


class Gathered:
    """Parents that ask for the same field with the same arguments in one turn."""

    __slots__ = ("arguments", "futures", "info", "parents", "task")

    def __init__(self, info: Any, arguments: dict[str, Any]) -> None:
        self.info = info
        self.arguments = arguments
        self.parents: list[Any] = []
        self.futures: list[asyncio.Future[Any]] = []
        self.task: asyncio.Task[None] | None = None

    def settled(self, _future: asyncio.Future[Any]) -> None:
        """When nobody waits any more the call is not needed either."""
        if self.task is not None and all(f.cancelled() for f in self.futures):
            self.task.cancel()


class Batch:
    """A function over all parents, and the way to call it for one of them."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        wants_info: bool,
        held: str | None = None,
    ) -> None:
        self.function = function
        self.wants_info = wants_info
        self.held = held
        # Emptied in each turn of the loop, so the ids in its keys cannot be stale.
        self.gathered: dict[tuple[int, int, int], list[Gathered]] = {}

    def __call__(self, parents: Sequence[Any], info: Any, **arguments: Any) -> Any:
        """Call the function once for all parents."""
        if self.wants_info:
            return self.function(parents, info, **arguments)
        return self.function(parents, **arguments)

    async def one(self, parent: Any, info: Any, arguments: dict[str, Any]) -> Any:
        """The value of one parent; its neighbours' share the call."""
        loop = asyncio.get_running_loop()
        node = info._raw_info.field_nodes[0]
        key = (id(loop), id(info.context), id(node))
        waiting = self.gathered.get(key)
        if waiting is None:
            waiting = self.gathered[key] = []
            loop.call_soon(self.dispatch, key)
        group = next((g for g in waiting if g.arguments == arguments), None)
        if group is None:
            group = Gathered(info, arguments)
            waiting.append(group)
        future: asyncio.Future[Any] = loop.create_future()
        future.add_done_callback(group.settled)
        group.parents.append(parent)
        group.futures.append(future)
        return await future

    def dispatch(self, key: tuple[int, int, int]) -> None:
        """End of the turn: call the function for those that have gathered."""
        for group in self.gathered.pop(key):
            group.task = asyncio.ensure_future(self.answer(group))

    async def answer(self, group: Gathered) -> None:
        """Call the function and give each parent its value."""
        try:
            values = self(group.parents, group.info, **group.arguments)
            values = list(await values if is_awaitable(values) else values)
            if len(values) != len(group.parents):
                raise wrong_length(len(values), len(group.parents))
        except Exception as error:
            values = [error] * len(group.parents)
        for future, value in zip(group.futures, values, strict=True):
            if not future.done():
                if isinstance(value, Exception):
                    future.set_exception(value)
                else:
                    future.set_result(value)


def held_by(batch: Any) -> str | None:
    """The attribute of a parent that may hold its value."""
    return batch.held if isinstance(batch, Batch) else None


def wrong_length(values: int, parents: int) -> ValueError:
    """A batch must answer each of its parents."""
    return ValueError(f"A batch answered {values} values for {parents} objects.")


def batched(
    function: Callable[..., Any] | None = None,
    *,
    graphql_type: Any = None,
    held: str | None = None,
    **options: Any,
) -> Any:
    """Make a strawberry field of a function over all parents of a level.

        @strawberry.type
        class Post:
            @batched(description="Who wrote it.")
            async def author(posts: list[Post], info: Info) -> list[User | None]: ...

    Type checkers like it better over a `@staticmethod`, which it may be over.

    The first parameter is the list of parents; one named `info` gets strawberry's
    Info; the others are the arguments of the field. The field has the type of the
    items of the return annotation, or `graphql_type`. `held` names an attribute of a
    parent: where that is None or an object of the field's type, and not a reference to
    one, the function would answer the same and need not be called. It is for fields
    without arguments. The options are those of
    `strawberry.field`. With extensions or permission classes the field is called per
    object, through the same batches.
    """
    if function is None:
        return lambda f: batched(f, graphql_type=graphql_type, held=held, **options)
    if isinstance(function, staticmethod):
        function = function.__func__
    signature = inspect.signature(function)
    _, *parameters = signature.parameters.values()
    wants_info = any(p.name == "info" for p in parameters)
    batch = Batch(function, wants_info=wants_info, held=held)

    async def resolve(root: Any, info: Any, **arguments: Any) -> Any:
        return await batch.one(root, info, arguments)

    disguise(resolve, function, signature)
    return strawberry.field(
        resolver=resolve,
        graphql_type=graphql_type,
        metadata={**options.pop("metadata", {}), BATCH: batch},
        **options,
    )


def disguise(
    resolve: Callable[..., Any],
    function: Callable[..., Any],
    signature: inspect.Signature,
) -> None:
    """Give the resolver of one object the name and the signature of the field."""
    _, *parameters = signature.parameters.values()
    keyword = inspect.Parameter.KEYWORD_ONLY
    root = inspect.Parameter("root", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    info = inspect.Parameter("info", keyword, annotation=strawberry.Info)
    arguments = [p.replace(kind=keyword) for p in parameters if p.name != "info"]
    given = [p.replace(kind=keyword) for p in parameters if p.name == "info"]
    item = item_annotation(signature.return_annotation)
    shown = [root, *(given or [info]), *arguments]
    resolve.__name__ = function.__name__
    resolve.__qualname__ = function.__qualname__
    resolve.__module__ = function.__module__
    resolve.__doc__ = function.__doc__
    resolve.__annotations__ = {p.name: p.annotation for p in shown[1:]}
    if item is not inspect.Signature.empty:
        resolve.__annotations__["return"] = item
    resolve.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        shown, return_annotation=item
    )


def item_annotation(annotation: Any) -> Any:
    """`X` of `list[X]`, also when annotations are strings.

    Raises: TypeError if the annotation is no list.
    """
    if annotation is inspect.Signature.empty:
        return annotation
    if get_origin(annotation) in (Union, UnionType):
        annotation = get_args(annotation)[0]
    if isinstance(annotation, str):
        text = annotation.strip()
        head, bracket, rest = text.partition("[")
        if head in LISTS and bracket and rest.endswith("]"):
            return rest[:-1].strip()
    elif get_origin(annotation) in (list, Sequence) or (
        inspect.isclass(get_origin(annotation))
        and issubclass(get_origin(annotation), Sequence)
    ):
        return get_args(annotation)[0]
    raise TypeError(f"A batched field returns a list, not {annotation!r}.")


LISTS = (
    "Answers",
    "list",
    "List",
    "Sequence",
    "typing.List",
    "collections.abc.Sequence",
)
