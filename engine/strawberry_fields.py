"""Recognises the resolvers that strawberry wraps, so that they can be called directly.

strawberry gives every field of its schema a resolver of its own: for an attribute one
that reads it, for a method one that converts the arguments, builds an Info and looks
after extensions and exception handlers. Where that can be done in advance or does not
matter the plan reads the attribute, or calls the method, itself. Whatever is not
recognised beyond doubt keeps the wrapper.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from types import FunctionType
from typing import Any, TypeAlias, cast

from graphql import (
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
)
from strawberry import Info
from strawberry.schema import Schema
from strawberry.schema.exception_handlers import ExceptionHandler
from strawberry.types.arguments import convert_arguments
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField
from strawberry.types.union import StrawberryUnion
from strawberry.utils.await_maybe import await_maybe

from .attribute import ATTRIBUTE, DECLARED, OBJECTS, Attribute
from .batch import BATCH, Batch, held_by
from .info import LazyInfo, lazy_info
from .level import Level
from .plan import Arguments, Field, Value
from .run import Run
from .strawberry_inputs import Inputs, Prepared

# What the schema makes of exceptions: the first that is for one has it.
Handlers: TypeAlias = tuple[
    tuple[tuple[type[Exception], ...], ExceptionHandler[Any]], ...
]
DEFINITION = "strawberry-definition"
new = tuple.__new__
bare = object.__new__
WRAPPERS = "strawberry.schema.schema_converter"


class DirectInfo(Info[Any, Any]):
    """An `Info` of strawberry's own class that holds the context, which all ask for."""

    __slots__ = ("context",)
    context: Any


def strawberry_fields(schema: GraphQLSchema) -> StrawberryFields | None:
    """The recogniser for a schema that strawberry made; None for any other."""
    owner = getattr(schema, "_strawberry_schema", None)
    return StrawberryFields(owner) if isinstance(owner, Schema) else None


class StrawberryFields:
    """Knows one strawberry schema."""

    def __init__(self, owner: Schema) -> None:
        self.converter = owner.schema_converter
        self.info_class: Callable[..., Any] = owner.config.info_class
        self.inputs = Inputs(owner.config, self.converter.scalar_registry)
        self.types: dict[type, GraphQLObjectType | None] = {}

    def type_by_class(
        self, named: GraphQLNamedType
    ) -> Callable[[type], GraphQLObjectType | None] | None:
        """What tells the type of an object of a field by the object's class alone.

        As strawberry would tell it, of objects that were not cast to another type;
        None for fields where it has to be asked about each of them.
        """
        definition = (named.extensions or {}).get(DEFINITION)
        if isinstance(named, GraphQLUnionType):
            known = isinstance(definition, StrawberryUnion)
            return partial(self.member_of, named) if known else None
        if not isinstance(definition, StrawberryObjectDefinition):
            return None
        if isinstance(named, GraphQLObjectType):
            return lambda class_: named if self.type_of(class_) is named else None
        if definition.resolve_type is not None:
            return None

        def implementing(class_: type) -> GraphQLObjectType | None:
            found = self.type_of(class_)
            return found if found is not None and named in found.interfaces else None

        return implementing

    def member_of(
        self, union: GraphQLUnionType, class_: type
    ) -> GraphQLObjectType | None:
        """The same of a union, whose members have classes of their own."""
        if "__strawberry_definition__" not in class_.__dict__:
            return None
        found = self.type_of(class_)
        return found if found in union.types else None

    def type_of(self, class_: type) -> GraphQLObjectType | None:
        """The type whose objects are the instances of a class, if it is exactly one."""
        if class_ not in self.types:
            self.types[class_] = self.find_type(class_)
        return self.types[class_]

    def find_type(self, class_: type) -> GraphQLObjectType | None:
        """What `type_of` keeps."""
        definition = class_.__dict__.get("__strawberry_definition__")
        if definition is None:
            return self.find_type_over(class_)
        if (
            not isinstance(definition, StrawberryObjectDefinition)
            or definition.origin is not class_
            or definition.is_type_of is not None
            or definition.is_graphql_generic
            or definition.concrete_of is not None
        ):
            return None
        known = self.converter.type_map.get(definition.name)
        if known is None or known.definition is not definition:
            return None
        found = known.implementation
        return found if isinstance(found, GraphQLObjectType) else None

    def find_type_over(self, class_: type) -> GraphQLObjectType | None:
        """The type that was declared by `objects_of` this very class."""
        found = [
            known.implementation
            for known in self.converter.type_map.values()
            if isinstance(known.definition, StrawberryObjectDefinition)
            and known.definition.origin.__dict__.get(OBJECTS) is class_
        ]
        only = found[0] if len(found) == 1 else None
        return only if isinstance(only, GraphQLObjectType) else None

    def claim(self, field: Field, serial: bool) -> bool:
        """Decide where the values of a field come from; False if we cannot say."""
        definition = (field.definition.extensions or {}).get(DEFINITION)
        if not isinstance(definition, StrawberryField) or not self.is_bare(
            field, definition
        ):
            return False
        handlers = self.converter._get_field_exception_handlers(definition)
        if handlers:
            return self.claim_handled(field, definition, handlers)
        resolver = definition.base_resolver
        if resolver is None:
            if serial or definition.default_resolver is not getattr:
                return False
            field.attribute = definition.python_name
            return True
        marks: dict[Any, Any] = {**definition.metadata, **field.definition.extensions}
        attribute = marks.get(ATTRIBUTE)
        if isinstance(attribute, Attribute) and not serial:
            field.attribute, field.convert = attribute.path, attribute.convert
            owner = field.parent.extensions[DEFINITION].origin
            field.declared = owner.__dict__.get(DECLARED, {}).get(attribute.path)
            return True
        batch = marks.get(BATCH)
        prepared = self.inputs.arguments(definition.arguments)
        if batch is not None:
            self.convert(field, definition, prepared)
            field.batch = self.direct_batch(batch, definition)
            field.held = held_by(batch)
            return True
        if prepared is None and not field.share_arguments:
            return False
        self.convert(field, definition, prepared)
        field.call = self.direct_call(definition)
        return True

    def claim_handled(
        self, field: Field, definition: StrawberryField, handlers: Handlers
    ) -> bool:
        """The same of a field that turns exceptions into members of its union."""
        marks: dict[Any, Any] = {**definition.metadata, **field.definition.extensions}
        resolver = definition.base_resolver
        if (
            resolver is None
            or not inspect.iscoroutinefunction(resolver.wrapped_func)
            or marks.keys() & {ATTRIBUTE, BATCH}
        ):
            return False
        prepared = self.inputs.arguments(definition.arguments)
        if prepared is None and not field.share_arguments:
            return False
        self.convert(field, definition, prepared)
        field.call = self.handled_call(definition, handlers)
        return True

    def is_bare(self, field: Field, definition: StrawberryField) -> bool:
        """Whether strawberry's wrapper does no more than convert, call and handle."""
        resolve = field.definition.resolve
        return (
            getattr(resolve, "__module__", None) == WRAPPERS
            and type(definition).get_result is StrawberryField.get_result
            and not definition.extensions
            and not definition.is_subscription
        )

    def convert(
        self, field: Field, definition: StrawberryField, prepared: Prepared | None
    ) -> None:
        """Let the arguments of a field be strawberry's: Python names, enums, inputs.

        Without `prepared` strawberry itself converts them, at each call.
        """
        coerced, declared = field.arguments, definition.arguments
        if not declared:
            return
        converted = prepared or partial(
            convert_arguments,
            arguments=declared,
            scalar_registry=self.converter.scalar_registry,
            config=self.converter.config,
        )
        if field.constants is not None:
            field.constants = converted(field.constants)
        else:
            field.arguments = lambda run: converted(coerced(run))

    def info(
        self,
        definition: StrawberryField,
        run: Run,
        field: Field,
        level: Level,
        row: int,
    ) -> Any:
        """What strawberry tells a function of where it is called."""
        raw = lazy_info(run, field, level, row)
        return self.info_class(_raw_info=raw, _field=definition)

    def direct_batch(
        self, batch: Callable[..., Value], definition: StrawberryField
    ) -> Callable[..., Value]:
        """Calls the function of a batched field with what it asks for."""
        function = batch.function if isinstance(batch, Batch) else batch
        if isinstance(batch, Batch) and not batch.wants_info:
            return lambda _run, _field, _level, _row, sources, arguments: function(
                sources, **arguments
            )

        def call(
            run: Run,
            field: Field,
            level: Level,
            row: int,
            sources: Sequence[Value],
            arguments: Arguments,
        ) -> Value:
            info = self.info(definition, run, field, level, row)
            return function(sources, info, **arguments)

        return call

    def direct_call(self, definition: StrawberryField) -> Callable[..., Value]:
        """Calls the resolver function with what it asks for."""
        resolver = definition.base_resolver
        assert resolver is not None  # noqa: S101 (the caller looked)
        function = cast(Callable[..., Value], resolver.wrapped_func)
        info = resolver.info_parameter
        named = {
            parameter.name
            for parameter in (resolver.root_parameter, resolver.parent_parameter)
            if parameter is not None
        }
        wants_self = resolver.self_parameter is not None
        if wants_self and not named:
            if not info and not definition.arguments:
                return lambda _run, _field, _level, _row, source, _arguments: function(
                    source
                )
            if info and self.info_class is Info and is_second(info.name, function):
                return method_call(function, definition)

        def call(
            run: Run,
            field: Field,
            level: Level,
            row: int,
            source: Value,
            arguments: Arguments,
        ) -> Value:
            given = {**arguments, **dict.fromkeys(named, source)}
            if info:
                given[info.name] = self.info(definition, run, field, level, row)
            return function(source, **given) if wants_self else function(**given)

        return call

    def handled_call(
        self, definition: StrawberryField, handlers: Handlers
    ) -> Callable[..., Value]:
        """The same, with what the handlers make of its exceptions."""
        call = self.direct_call(definition)

        async def attempt(
            run: Run,
            field: Field,
            level: Level,
            row: int,
            source: Value,
            arguments: Arguments,
        ) -> Value:
            try:
                return await call(run, field, level, row, source, arguments)
            except Exception as error:
                handler = next(
                    (
                        handler
                        for kinds, handler in handlers
                        if isinstance(error, kinds)
                    ),
                    None,
                )
                if handler is None:
                    raise
                info = self.info(definition, run, field, level, row)
                told = handler.handle(error, field=definition, info=info)
                result = await await_maybe(told)
                if result is None:  # declined
                    raise
                return result

        return attempt


def is_second(name: str, function: Callable[..., Value]) -> bool:
    """Whether a function takes this after the object, by its place too.

    Told by its code: the signature may be that of another function, which it wraps.
    """
    if not isinstance(function, FunctionType):
        return False
    code = function.__code__
    return code.co_argcount > 1 and code.co_varnames[1] == name


def method_call(
    function: Callable[..., Value], definition: StrawberryField
) -> Callable[..., Value]:
    """Calls a method that takes `self` and `info` first, as nearly all do.

    The latter is made as `lazy_info` and Info do it, but without a call of Python.
    """

    def call(
        run: Run,
        field: Field,
        level: Level,
        row: int,
        source: Value,
        arguments: Arguments,
    ) -> Value:
        context = run.context
        info: Any = bare(DirectInfo)
        info._raw_info = new(LazyInfo, (run, field, level, row, context, field.nodes))
        info._field, info.context = definition, context
        return function(source, info, **arguments)

    return call
