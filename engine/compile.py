"""Makes a plan of an operation.

Everything that does not depend on data is decided here, once: which fields a type has,
where their values come from, what may be null, what the arguments are. The selections
behind interfaces and unions are compiled when a type first turns up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLBoolean,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLString,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    default_field_resolver,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)

from .arguments import arguments
from .batch import BATCH, held_by
from .collect import Collector, NotCompiledError
from .info import full_info, lazy_info
from .level import Level
from .plan import Arguments, Field, Plan, Selection, Value, no_type
from .run import Run
from .source import make_reader, write_reader
from .strawberry_fields import StrawberryFields

# The coercions that hand every instance of a class back unchanged.
EXACT: dict[Callable[[Value], Value], type] = {
    GraphQLString.coerce_output_value: str,
    GraphQLID.coerce_output_value: str,
    GraphQLInt.coerce_output_value: int,
    GraphQLFloat.coerce_output_value: float,
    GraphQLBoolean.coerce_output_value: bool,
    str: str,  # scalars of one's own, whose values are their response form
}


class Compiler:
    """Compiles one operation of a schema, its conditional variables having values."""

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: dict[str, FragmentDefinitionNode],
        conditions: Mapping[str, bool],
        strawberry: StrawberryFields | None,
    ) -> None:
        self.schema = schema
        self.operation = operation
        self.fragments = fragments
        self.collector = Collector(schema, fragments, conditions)
        self.strawberry = strawberry

    def plan(self) -> Plan:
        """The plan of the operation.

        Raises: NotCompiledError if graphql-core has to execute it.
        """
        root = self.schema.get_root_type(self.operation.operation)
        if root is None:
            raise NotCompiledError("no root type")
        serial = self.operation.operation is OperationType.MUTATION
        selection = self.selection(root, [self.operation.selection_set], serial)
        info = full_info if self.strawberry is None else lazy_info
        plan = Plan(self.schema, self.operation, self.fragments, selection, info)
        plan.blank = blank(selection)
        unrest = sum(field.unrest for field in selection.resolved)
        plan.in_turns = serial or unrest < 2 or len(selection.resolved) == 1
        if serial:
            plan.serial, selection.resolved = selection.resolved, ()
        return plan

    def selection(
        self,
        type_: GraphQLObjectType,
        sets: Sequence[SelectionSetNode],
        serial: bool = False,
    ) -> Selection:
        """The merged fields of a type; `serial` makes every field a call."""
        entries: list[Field | tuple[str, str]] = []
        for key, nodes in self.collector.collect(type_, sets).items():
            name = nodes[0].name.value
            if name == "__typename":
                entries.append((key, type_.name))
            elif (definition := type_.fields.get(name)) is not None:
                index = len(entries)
                field = self.field(type_, key, index, nodes, definition)
                self.find_values(field, serial)
                field.quiet = is_quiet(field)
                field.unrest = 2 if not field.nullable[0] else int(not field.quiet)
                entries.append(field)
        fields = [entry for entry in entries if isinstance(entry, Field)]
        source = write_reader(entries)
        return Selection(
            type_,
            tuple(entries),
            make_reader(source, entries),
            tuple(
                f for f in fields if f.attribute is not None and not is_read_whole(f)
            ),
            tuple(f for f in fields if f.attribute is None),
            source,
        )

    def field(
        self,
        parent: GraphQLObjectType,
        key: str,
        index: int,
        nodes: list[FieldNode],
        definition: GraphQLField,
    ) -> Field:
        """What the schema says about a field."""
        named = get_named_type(definition.type)
        constants, make, share = arguments(definition, nodes[0])
        sets = [node.selection_set for node in nodes if node.selection_set]
        known: dict[GraphQLObjectType, Selection] = {}
        if is_object_type(named):
            self.compile_for(known, sets, named)
        coerce = named.coerce_output_value if is_leaf_type(named) else None
        by_class = self.strawberry and self.strawberry.type_by_class(named)
        return Field(
            key=key,
            index=index,
            nodes=nodes,
            parent=parent,
            definition=definition,
            nullable=nullability(definition.type),
            depth=len(nullability(definition.type)) - 1,
            coerce=coerce,
            exact=None if coerce is None else EXACT.get(coerce),
            selections=known,
            compile_for=partial(self.compile_for, known, sets),
            object_type=named if is_object_type(named) else None,
            abstract_type=named if is_abstract_type(named) else None,
            constants=constants,
            arguments=make,
            share_arguments=share,
            type_of_class=by_class or no_type,
        )

    def compile_for(
        self,
        known: dict[GraphQLObjectType, Selection],
        sets: Sequence[SelectionSetNode],
        type_: GraphQLObjectType,
    ) -> Selection:
        """Compile the selection below a field for one type of objects."""
        selection = known[type_] = self.selection(type_, sets)
        return selection

    def find_values(self, field: Field, serial: bool) -> None:
        """Decide where the values of a field come from."""
        resolve = field.definition.resolve
        if self.strawberry is not None and self.strawberry.claim(field, serial):
            return
        batch = (field.definition.extensions or {}).get(BATCH)
        if batch is not None:
            field.batch, field.held = partial(call_batch, batch), held_by(batch)
        elif resolve is None and not serial:
            field.attribute = field.nodes[0].name.value
            field.calls_value = True
        else:
            field.call = partial(call_resolver, resolve or default_field_resolver)


def blank(selection: Selection) -> dict[str, str | None] | None:
    """What `read` gives for every object, if it reads nothing: keys and constants."""
    if any(isinstance(e, Field) and e.attribute is not None for e in selection.entries):
        return None
    return dict(e if isinstance(e, tuple) else (e.key, None) for e in selection.entries)


def is_read_whole(field: Field) -> bool:
    """The generated function completes it: a leaf that is no list."""
    return field.coerce is not None and field.depth == 0


def is_quiet(field: Field) -> bool:
    """Whether no resolver is called below it, as far as that is known beforehand."""
    if field.object_type is None:
        return field.coerce is not None
    below = field.selections[field.object_type]
    return not below.resolved and all(column.quiet for column in below.columns)


def nullability(type_: GraphQLOutputType) -> tuple[bool, ...]:
    """For the field, its items, their items …: whether null is allowed."""
    flags: list[bool] = []
    current: Value = type_
    while True:
        flags.append(not is_non_null_type(current))
        if is_non_null_type(current):
            current = current.of_type
        if not is_list_type(current):
            return tuple(flags)
        current = current.of_type


def call_resolver(
    resolve: Callable[..., Value],
    run: Run,
    field: Field,
    level: Level,
    row: int,
    source: Value,
    arguments: Arguments,
) -> Value:
    """Call a resolver as graphql-core does."""
    return resolve(source, run.plan.info(run, field, level, row), **arguments)


def call_batch(
    batch: Callable[..., Value],
    run: Run,
    field: Field,
    level: Level,
    row: int,
    sources: Sequence[Value],
    arguments: Arguments,
) -> Value:
    """Call a batched field; its info has the path of the first row."""
    info = run.plan.info(run, field, level, row)
    return batch(list(sources), info, **arguments)


def compile_operation(
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    fragments: dict[str, FragmentDefinitionNode],
    conditions: Mapping[str, bool],
    strawberry: StrawberryFields | None,
) -> Plan:
    """Make the plan of an operation.

    Raises: NotCompiledError if graphql-core has to execute it.
    """
    return Compiler(schema, operation, fragments, conditions, strawberry).plan()
