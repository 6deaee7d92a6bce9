"""Random schemas, documents and data for `test_differential.py`, all from one seed.

What a field answers depends only on the seed of its object and on the arguments, so
that two executions in any order see the same data: nulls where none may be, errors
raised and errors returned, awaitables of different length, wrong types.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInt,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLString,
    GraphQLUnionType,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_enum_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
)

from engine import BATCH
from engine.batch import Batch

COLOURS = GraphQLEnumType("Colour", {"RED": 0, "GREEN": "green", "BLUE": (1, 2)})
LEAVES = [GraphQLString, GraphQLID, GraphQLInt, GraphQLFloat, GraphQLBoolean, COLOURS]


class Thing:
    """A value of no scalar type; its repr is the same in every execution."""

    def __repr__(self) -> str:
        return "thing"


THING = Thing()


def serialize_even(value: Any) -> Any:
    if value == 7:
        raise ValueError("seven is odd")
    return None if value == 9 else f"<{value}>"


EVEN = GraphQLScalarType("Even", coerce_output_value=serialize_even)
POINT = GraphQLInputObjectType(
    "Point",
    lambda: {
        "x": GraphQLInputField(GraphQLNonNull(GraphQLInt)),
        "y": GraphQLInputField(GraphQLInt, default_value=3),
        "next": GraphQLInputField(POINT),
    },
)


def seeded(*parts: object) -> Random:
    return Random(zlib.crc32(repr(parts).encode()))  # noqa: S311 (no secret)


class Data:
    """What the fields of one schema answer."""

    def __init__(self, rng: Random, trouble: float) -> None:
        self.trouble = trouble
        self.classes: dict[str, type] = {}
        self.possible: dict[str, list[str]] = {}
        self.as_dict: set[str] = set()
        self.leaf_attributes: dict[str, dict[str, Any]] = {}
        self.held: dict[str, dict[str, Any]] = {}
        self.rng = rng
        self.calm = False
        self.depth = 0  # of objects that are made to be held by others

    def value(self, type_: Any, *seed: object) -> Any:
        rng = seeded(*seed)
        if is_non_null_type(type_):
            if rng.random() < self.trouble / 3:
                return None
            type_ = type_.of_type
        elif rng.random() < 0.15:
            return None
        if rng.random() < self.trouble / 2:
            return ValueError(f"returned {seed[-1]}")
        if is_list_type(type_):
            if rng.random() < self.trouble / 4:
                return 5
            items = [
                self.item(type_.of_type, *seed, i) for i in range(rng.randint(0, 3))
            ]
            shape = rng.random()
            if shape < 0.1:
                return tuple(items)
            return items
        if is_composite_type(type_):
            names = self.possible.get(type_.name, [type_.name])
            return self.object(rng.choice(names), rng.randrange(10**9))
        return self.leaf(type_, rng)

    def item(self, type_: Any, *seed: object) -> Any:
        value = self.value(type_, *seed)
        rng = seeded(*seed, "item")
        slow = rng.random() < 0.06 and not self.calm
        return later(value, rng.randint(0, 2)) if slow else value

    def leaf(self, type_: Any, rng: Random) -> Any:
        n = rng.randrange(100)
        if rng.random() < self.trouble / 2:
            return rng.choice([THING, {}, float("nan"), 2**40, "text"])
        if type_ is COLOURS:
            return rng.choice([0, "green", (1, 2)])
        if type_ is EVEN:
            return n % 10 if rng.random() < self.trouble else 2
        by_type: dict[Any, Any] = {
            GraphQLInt: n,
            GraphQLFloat: rng.choice([n / 4, n]),
            GraphQLBoolean: n % 2 == 0,
            GraphQLID: rng.choice([f"id{n}", n]),
        }
        return by_type.get(type_, f"s{n}")

    def object(self, name: str, seed: int) -> Any:
        if name not in self.as_dict:
            return self.classes[name](seed)
        row = {"seed": seed, "type": name}
        calm, self.calm = self.calm, True  # nobody may ask, or twice: no awaitables
        for field, type_ in self.leaf_attributes.get(name, {}).items():
            row[field] = self.value(type_, seed, field)
        self.calm = calm
        return row


class Slow:
    """An awaitable that may be awaited more than once, as an attribute may be read."""

    def __init__(self, value: Any, turns: int) -> None:
        self.value, self.turns = value, turns

    def __await__(self) -> Any:
        return later(self.value, self.turns).__await__()


async def later(value: Any, turns: int) -> Any:
    for _ in range(turns):
        await asyncio.sleep(0)
    if isinstance(value, Exception):
        raise value
    return value


def seed_of(source: Any) -> Any:
    return source["seed"] if isinstance(source, dict) else getattr(source, "seed", 0)


def type_of(source: Any) -> str:
    return source["type"] if isinstance(source, dict) else type(source).__name__


class SchemaMaker:
    """Makes a schema of a few object types, interfaces and a union."""

    def __init__(self, seed: int, trouble: float) -> None:
        self.rng = Random(seed)  # noqa: S311 (no secret)
        self.data = Data(self.rng, trouble)
        self.types: dict[str, Any] = {}
        self.count = 0
        # Records, as most schemas over other services have them.
        self.plain = self.rng.random() < 0.3

    def make(self) -> GraphQLSchema:
        rng, data = self.rng, self.data
        names = [f"T{n}" for n in range(rng.randint(2, 4))]
        common = {"common": self.leaf_type(), "shared": rng.choice(names)}
        members = rng.sample(names, rng.randint(1, len(names)))
        checked = rng.random() < 0.5  # is_type_of instead of resolve_type
        data.possible = {"Face": members, "Either": members}
        face = GraphQLInterfaceType(
            "Face",
            lambda: self.interface_fields(common),
            resolve_type=None if checked else self.type_resolver(),
        )
        self.types["Face"] = face
        for name in names:
            has_check = checked or rng.random() < 0.2
            self.types[name] = GraphQLObjectType(
                name,
                self.fields_thunk(name, common if name in members else {}),
                interfaces=[face] if name in members else [],
                is_type_of=self.type_checker(name) if has_check else None,
            )
        self.types["Either"] = GraphQLUnionType(
            "Either",
            [self.types[name] for name in members],
            resolve_type=None if checked else self.type_resolver(),
        )
        roots = [
            GraphQLObjectType(name, self.fields_thunk(name, {}))
            for name in ("Query", "Mutation")
        ]
        schema = GraphQLSchema(*roots, types=list(self.types.values()))
        for name in names:
            self.make_class(name)
        return schema

    def type_resolver(self) -> Callable[..., Any]:
        slow = self.rng.random() < 0.3
        trouble = self.data.trouble

        def resolve(source: Any, _info: Any, _type: Any) -> Any:
            rng = seeded(seed_of(source), "type")
            name: Any = type_of(source)
            if rng.random() < trouble / 3:
                name = rng.choice([None, "Nope", 3, "Face"])
            elif rng.random() < trouble / 4:
                name = ValueError("no type")
            if slow and rng.random() < 0.7:
                return later(name, rng.randint(0, 2))
            if isinstance(name, Exception):
                raise name
            return name

        return resolve

    def type_checker(self, name: str) -> Callable[..., Any]:
        slow = self.rng.random() < 0.3
        trouble = self.data.trouble

        def check(source: Any, _info: Any) -> Any:
            rng = seeded(seed_of(source), name, "is")
            answer = type_of(source) == name and rng.random() > trouble / 4
            return later(answer, rng.randint(0, 2)) if slow else answer

        return check

    def leaf_type(self) -> Any:
        if self.plain:
            leaf = self.rng.choice(LEAVES[:-1])
            return GraphQLNonNull(leaf) if self.rng.random() < 0.4 else leaf
        return self.wrap(self.rng.choice([*LEAVES, EVEN]))

    def wrap(self, type_: Any) -> Any:
        rng = self.rng
        wrapped: Any = GraphQLNonNull(type_) if rng.random() < 0.4 else type_
        for _ in range(rng.choice([0, 0, 0, 1, 1, 2])):
            wrapped = GraphQLList(wrapped)
            if rng.random() < 0.4:
                wrapped = GraphQLNonNull(wrapped)
        return wrapped

    def interface_fields(self, common: dict[str, Any]) -> dict[str, GraphQLField]:
        return {
            "common": GraphQLField(common["common"]),
            "shared": GraphQLField(self.types[common["shared"]]),
        }

    def fields_thunk(
        self, name: str, common: dict[str, Any]
    ) -> Callable[[], dict[str, GraphQLField]]:
        made: dict[str, GraphQLField] = {}

        def fields() -> dict[str, GraphQLField]:
            if not made:
                if common:
                    for key, type_ in common.items():
                        named = self.types[type_] if isinstance(type_, str) else type_
                        made[key] = self.field(name, key, named)
                for _ in range(self.rng.randint(3, 6)):
                    self.count += 1
                    made[f"f{self.count}"] = self.field(
                        name, f"f{self.count}", self.field_type()
                    )
            return made

        return fields

    def field_type(self) -> Any:
        if self.rng.random() < 0.5:
            return self.leaf_type()
        return self.wrap(self.types[self.rng.choice(sorted(self.types))])

    def field(self, parent: str, name: str, type_: Any) -> GraphQLField:
        rng, data = self.rng, self.data
        kind = rng.random()
        root = parent in ("Query", "Mutation")
        if kind < (0.7 if self.plain else 0.4) and not root:
            data.leaf_attributes.setdefault(parent, {})[name] = type_
            return GraphQLField(type_)
        args: dict[str, GraphQLArgument] = {}
        if rng.random() < 0.4:
            args["n"] = GraphQLArgument(GraphQLInt, default_value=rng.choice([1, None]))
            args["c"] = GraphQLArgument(COLOURS, out_name="colour")
            args["p"] = GraphQLArgument(GraphQLList(POINT))
            if rng.random() < 0.5 and name.startswith("f"):
                args["r"] = GraphQLArgument(GraphQLNonNull(GraphQLString))
        composite = is_composite_type(get_named_type(type_))
        held = kind >= 0.8 and composite and not args and not root
        if held:
            data.held.setdefault(parent, {})[name] = type_
        answer = self.answer(name, type_)
        if kind < 0.6:
            return GraphQLField(type_, args, resolve=answer)
        if kind < 0.8:
            slow = slowly(answer)
            return GraphQLField(type_, args, resolve=slow)
        return batched_field(
            type_,
            args,
            answer,
            is_slow=rng.random() < 0.7,
            held=held_name(name) if held else None,
        )

    def answer(self, name: str, type_: Any) -> Callable[..., Any]:
        data = self.data

        def resolve(source: Any, info: Any, **arguments: Any) -> Any:
            if isinstance(log := info.context, list):
                log.append(info.path.as_list())
            held = getattr(source, held_name(name), REFERENCE)
            if held is not REFERENCE:
                return held
            seed = (seed_of(source), name, sorted(arguments.items()))
            rng = seeded(*seed, "raise")
            if rng.random() < data.trouble / 2:
                raise ValueError(f"raised {name}")
            return data.value(type_, *seed)

        return resolve

    def make_class(self, name: str) -> None:
        data = self.data
        attributes = data.leaf_attributes.get(name, {})
        leaves = all(
            not is_composite_type(get_named_type(t)) for t in attributes.values()
        )
        if leaves and self.rng.random() < 0.3:
            data.as_dict.add(name)
            return

        if self.plain or self.rng.random() < 0.3:
            data.classes[name] = self.storing_class(name, attributes)
            return

        def make_property(field: str, type_: Any) -> property:
            def read(self: Any) -> Any:
                rng = seeded(self.seed, field, "read")
                if rng.random() < data.trouble / 4:
                    raise ValueError(f"property {field}")
                value = data.value(type_, self.seed, field)
                if rng.random() < 0.04:
                    return later(value, rng.randint(0, 2))
                return (lambda _info: value) if rng.random() < 0.03 else value

            return property(read)

        def init(self: Any, seed: int) -> None:
            self.seed = seed

        members = {f: make_property(f, t) for f, t in attributes.items()}
        data.classes[name] = type(name, (), {"__init__": init, **members})

    def storing_class(self, name: str, attributes: dict[str, Any]) -> type:
        """A class whose objects hold their values, and the objects among them."""
        data = self.data

        def value(type_: Any, seed: int, field: str) -> Any:
            if data.depth > 3 and is_composite_type(get_named_type(type_)):
                return None
            rng = seeded(seed, field, "stored")
            found = data.value(type_, seed, field)
            if rng.random() < data.trouble / 2:
                return Slow(found, rng.randint(0, 2))
            return (lambda _info: found) if rng.random() < data.trouble / 4 else found

        def init(self: Any, seed: int) -> None:
            self.seed = seed
            calm, data.calm = data.calm, True
            data.depth += 1
            for field, type_ in attributes.items():
                setattr(self, field, value(type_, seed, field))
            for field, type_ in data.held.get(name, {}).items():
                held = seeded(seed, field, "held").random() > data.trouble
                found = data.value(type_, seed, field) if held and data.depth < 4 else 0
                setattr(self, held_name(field), found if found != 0 else REFERENCE)
            data.depth -= 1
            data.calm = calm

        return type(name, (), {"__init__": init})


REFERENCE = "somewhere else"


def held_name(field: str) -> str:
    """The attribute that may hold the value of a batched field."""
    return f"{field}_held"


def slowly(answer: Callable[..., Any]) -> Callable[..., Any]:
    async def resolve(source: Any, info: Any, **arguments: Any) -> Any:
        turns = seeded(seed_of(source), info.field_name, "turns").randint(0, 3)
        for _ in range(turns):
            await asyncio.sleep(0)
        return answer(source, info, **arguments)

    return resolve


def batched_field(
    type_: Any,
    args: Any,
    answer: Callable[..., Any],
    *,
    is_slow: bool,
    held: str | None,
) -> GraphQLField:
    def each(parents: list[Any], info: Any, **arguments: Any) -> list[Any]:
        values: list[Any] = []
        for parent in parents:
            try:
                values.append(answer(parent, info, **arguments))
            except ValueError as error:
                values.append(error)
        return values

    async def slow(parents: list[Any], info: Any, **arguments: Any) -> list[Any]:
        await asyncio.sleep(0)
        return each(parents, info, **arguments)

    batch: Any = slow if is_slow else each
    if held:
        batch = Batch(batch, wants_info=True, held=held)
    resolve = slowly(answer) if is_slow else answer
    return GraphQLField(type_, args, resolve=resolve, extensions={BATCH: batch})


class DocumentMaker:
    """Writes a random document for a schema, with values for its variables."""

    def __init__(self, schema: GraphQLSchema, seed: int) -> None:
        self.schema = schema
        self.rng = Random(seed)  # noqa: S311 (no secret)
        self.variables: dict[str, tuple[str, Any]] = {}
        self.fragments: list[str] = []

    def make(self) -> tuple[str, dict[str, Any]]:
        operation = self.rng.choice(["query", "query", "query", "mutation"])
        root = (
            self.schema.query_type
            if operation == "query"
            else self.schema.mutation_type
        )
        body = self.selection(root, 4)
        values: dict[str, Any] = {}
        definitions = []
        for name, (type_, value) in self.variables.items():
            definitions.append(f"${name}: {type_}")
            if value is not UNSET:
                values[name] = value
        head = f"({', '.join(definitions)})" if definitions else ""
        return "\n".join([f"{operation} Q{head} {body}", *self.fragments]), values

    def selection(self, type_: Any, depth: int) -> str:
        rng = self.rng
        parts: list[str] = []
        for _ in range(rng.randint(1, 5)):
            roll = rng.random()
            if roll < 0.1:
                parts.append(self.condition("__typename"))
            elif roll < 0.3 and depth > 1:
                parts.append(self.fragment(type_, depth))
            elif hasattr(type_, "fields"):
                parts.append(self.field(type_, depth))
        parts = [part for part in parts if part] or ["__typename"]
        return "{ " + " ".join(parts) + " }"

    def fragment(self, type_: Any, depth: int) -> str:
        targets = [type_]
        if is_abstract_type(type_):
            targets += self.schema.get_possible_types(type_)
        elif type_.interfaces:
            targets += type_.interfaces
        target = self.rng.choice(targets)
        body = self.selection(target, depth - 1)
        if self.rng.random() < 0.5:
            on = f" on {target.name}" if self.rng.random() < 0.8 else ""
            if not on and target is not type_:
                on = f" on {target.name}"
            return self.condition(f"...{on}", body)
        name = f"F{len(self.fragments)}"
        self.fragments.append(f"fragment {name} on {target.name} {body}")
        return self.condition(f"...{name}")

    def field(self, type_: Any, depth: int) -> str:
        name = self.rng.choice(sorted(type_.fields))
        field = type_.fields[name]
        composite = is_composite_type(get_named_type(field.type))
        if composite and depth <= 1:
            return ""
        arguments = self.arguments(field)
        key = zlib.crc32(f"{type_.name}{name}{arguments}".encode()) % 10**6
        alias = f"a{key}: " if arguments or self.rng.random() < 0.3 else ""
        body = (
            self.selection(get_named_type(field.type), depth - 1) if composite else ""
        )
        return self.condition(f"{alias}{name}{arguments}", body)

    def condition(self, head: str, body: str = "") -> str:
        if self.rng.random() < 0.12:
            name = self.rng.choice(["skip", "include"])
            value = self.rng.choice(["true", "false", "$yes", "$no"])
            if value.startswith("$"):
                self.variables[value[1:]] = ("Boolean!", value == "$yes")
            head = f"{head} @{name}(if: {value})"
        return f"{head} {body}"

    def arguments(self, field: GraphQLField) -> str:
        given = []
        for name, argument in field.args.items():
            needed = is_non_null_type(argument.type)
            if needed or self.rng.random() < 0.6:
                given.append(f"{name}: {self.literal(argument.type)}")
        return f"({', '.join(given)})" if given else ""

    def literal(self, type_: Any, depth: int = 0) -> str:
        rng = self.rng
        if depth == 0 and rng.random() < 0.3:
            name = f"v{len(self.variables)}"
            missing = not is_non_null_type(type_) and rng.random() < 0.3
            value = UNSET if missing else self.input(type_)
            self.variables[name] = (str(type_), value)
            return f"${name}"
        return written(self.input(type_), type_)

    def input(self, type_: Any) -> Any:
        rng = self.rng
        if is_non_null_type(type_):
            return self.input(type_.of_type) or "x"
        if rng.random() < 0.1:
            return None
        if is_list_type(type_):
            return [self.input(type_.of_type) for _ in range(rng.randint(0, 2))]
        if is_enum_type(type_):
            return rng.choice(sorted(type_.values))
        if is_input_object_type(type_):
            point = {"x": rng.randint(0, 5)}
            return {**point, "next": point} if rng.random() < 0.3 else point
        return rng.randint(0, 5) if type_ is GraphQLInt else f"t{rng.randint(0, 5)}"


def written(value: Any, type_: Any) -> str:
    """A value as a literal of the language."""
    if is_non_null_type(type_):
        type_ = type_.of_type
    if value is None:
        return "null"
    if isinstance(value, list):
        return "[" + ", ".join(written(item, type_.of_type) for item in value) + "]"
    if isinstance(value, dict):
        fields = type_.fields
        return (
            "{"
            + ", ".join(f"{k}: {written(v, fields[k].type)}" for k, v in value.items())
            + "}"
        )
    if is_enum_type(type_):
        return str(value)
    return f'"{value}"' if isinstance(value, str) else str(value)


class Unset:
    """A variable that the request leaves out."""


UNSET = Unset()
