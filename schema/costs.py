"""What an operation costs at most, known before it runs: `@cost` and `@listSize`.

Both directives are printed in the SDL, so that a client can reckon as we do: a field of
a composite type weighs 1 and a scalar nothing, unless `@cost` says otherwise; what
stands below a list counts as often as the list is long. `documents.py` asks for the
cost of an operation once its variables are known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import strawberry
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NamedTypeNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    SelectionSetNode,
    TypeNode,
    VariableNode,
    get_named_type,
    is_composite_type,
    is_interface_type,
    is_object_type,
)
from strawberry.schema_directive import Location

# Distinct page sizes of one operation that are remembered.
MAX_KEPT_COSTS: Final = 64
INT_DIGITS: Final = len("-2147483648")


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    description="What a field weighs in the cost of an operation. Without it: 1 for a "
    "composite type, 0 for a scalar.",
)
class Cost:
    """The public `@cost`."""

    weight: str


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    description="How long a list is at most: as the first of `slicingArguments` that "
    "is given says (of a list, its length), else `assumedSize`. `sizedFields` names "
    "the fields below that hold the list; without it the field itself does.",
)
class ListSize:
    """The public `@listSize`."""

    assumed_size: Annotated[int, strawberry.directive_field(name="assumedSize")]
    slicing_arguments: Annotated[
        list[str], strawberry.directive_field(name="slicingArguments")
    ]
    sized_fields: Annotated[list[str], strawberry.directive_field(name="sizedFields")]
    require_one_slicing_argument: Annotated[
        bool, strawberry.directive_field(name="requireOneSlicingArgument")
    ]


@dataclass(frozen=True, slots=True)
class FieldCost:
    """What is known of a field; `child` is the type below it, if composite."""

    weight: int
    child: str | None
    list_size: ListSize | None


CostTable = Mapping[tuple[str, str], FieldCost]


def cost_table(schema: GraphQLSchema) -> CostTable:
    """The weights and sizes of every field of a schema that strawberry made."""
    table: dict[tuple[str, str], FieldCost] = {}
    for kind in schema.type_map.values():
        if is_object_type(kind) or is_interface_type(kind):
            for name, field in kind.fields.items():
                named = get_named_type(field.type)
                composite = is_composite_type(named)
                weight, size = int(composite), None
                definition = (field.extensions or {}).get("strawberry-definition")
                for directive in getattr(definition, "directives", ()):
                    if isinstance(directive, Cost):
                        weight = int(directive.weight)
                    elif isinstance(directive, ListSize):
                        size = directive
                table[kind.name, name] = FieldCost(
                    weight, named.name if composite else None, size
                )
    return table


class OperationCost:
    """The cost of one operation, by its variables."""

    def __init__(
        self,
        table: CostTable,
        root: str,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        *,
        page_size: int | None,
    ) -> None:
        self._table = table
        self._root = root
        self._selections = operation.selection_set
        self._page_size = page_size
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._defaults = {
            definition.variable.name.value: _literal(definition.default_value)
            for definition in operation.variable_definitions or ()
            if _may_be_size(definition.type)
        }
        self._known: dict[tuple[int | None, ...], int] = {}

    def of(self, variables: Mapping[str, Any] | None) -> int:  # Any: JSON
        """The cost with these variables, which need not have been checked.

        A variable that is null has no size, whatever its default.
        """
        given = variables or {}
        lengths: list[int | None] = []
        for name, default in self._defaults.items():
            value = given.get(name, default)
            lengths.append(value if value.__class__ is int else _length(value))
        key = tuple(lengths)
        cost = self._known.get(key)
        if cost is None:
            sizes = dict(zip(self._defaults, lengths, strict=True))
            cost = _Reckoning(self, sizes).of(self._selections, self._root, None)
            if len(self._known) >= MAX_KEPT_COSTS:
                self._known.clear()
            self._known[key] = cost
        return cost


@dataclass(frozen=True, slots=True)
class _Sized:
    """A list that fields below the current one hold."""

    fields: frozenset[str]
    length: int


class _Reckoning:
    """One walk over an operation, every fragment once for each length around it."""

    def __init__(self, operation: OperationCost, sizes: Mapping[str, int | None]):
        self._operation = operation
        self._sizes = sizes
        self._fragments: dict[tuple[str, str, _Sized | None], int] = {}

    def of(self, selections: SelectionSetNode, kind: str, sized: _Sized | None) -> int:
        total = 0
        for node in selections.selections:
            if isinstance(node, FieldNode):
                total += self._field(node, kind, sized)
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                inner = condition.name.value if condition else kind
                total += self.of(node.selection_set, inner, sized)
            else:
                total += self._fragment(node.name.value, kind, sized)  # type: ignore[attr-defined]
        return total

    def _field(self, node: FieldNode, kind: str, sized: _Sized | None) -> int:
        name = node.name.value
        known = self._operation._table.get((kind, name))
        if known is None:  # introspection's own, bounded by depth
            return 1
        below, times = None, 1
        if sized is not None and name in sized.fields:
            times = sized.length
        if known.list_size is not None:
            length = self._length(node, known.list_size)
            if known.list_size.sized_fields:
                below = _Sized(frozenset(known.list_size.sized_fields), length)
            else:
                times *= length
        inner = 0
        if node.selection_set is not None and known.child is not None:
            inner = self.of(node.selection_set, known.child, below)
        return times * (known.weight + inner)

    def _fragment(self, name: str, kind: str, sized: _Sized | None) -> int:
        key = (name, kind, sized)
        if key not in self._fragments:
            fragment = self._operation._fragments[name]
            inner = fragment.type_condition.name.value
            self._fragments[key] = self.of(fragment.selection_set, inner, sized)
        return self._fragments[key]

    def _length(self, node: FieldNode, size: ListSize) -> int:
        given = {each.name.value: each.value for each in node.arguments or ()}
        for name in size.slicing_arguments:
            length = self._given(given.get(name))
            if length is not None:
                longest = self._operation._page_size  # longer ones are refused
                return max(0, length if longest is None else min(length, longest))
        return size.assumed_size

    def _given(self, value: object) -> int | None:
        if isinstance(value, VariableNode):
            return self._sizes.get(value.name.value)
        return _literal(value)


def _may_be_size(type_: TypeNode) -> bool:
    """Of a variable's type: no other may stand where a size is asked for."""
    bare = type_.type if isinstance(type_, NonNullTypeNode) else type_
    return not isinstance(bare, NamedTypeNode) or bare.name.value == "Int"


def _literal(value: object) -> int | None:
    # With more digits than an Int has it is no size; Python may not even read it.
    if isinstance(value, IntValueNode) and len(value.value) <= INT_DIGITS:
        return int(value.value)
    return len(value.values) if isinstance(value, ListValueNode) else None


def _length(value: object) -> int | None:
    """Of a variable's value: a number that is whole is an Int, also if it is 1e2."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return len(value) if isinstance(value, list) else None
