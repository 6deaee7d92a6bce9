"""What an operation selects: of every type (for columns), of one field (for counts).

`selection_of` is called once per document by `schema/documents.py`; `selected_fields`
by a field that costs more when certain fields below it are asked for.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    BooleanValueNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_composite_type,
    is_interface_type,
    is_object_type,
)

from resolvers.selection import Selection

from .info import Info

Fragments = Mapping[str, FragmentDefinitionNode]


def selected_fields(info: Info) -> frozenset[str]:
    """Names of the fields that this field's own selection asks for.

    Fragments are followed, `@skip` and `@include` obeyed: what is left out at run time
    must not cost a call.
    """
    raw = info._raw_info  # strawberry's own view copies the whole tree below
    known: dict[int, frozenset[str]] | None = raw.context.selection.below
    place = id(raw.field_nodes[0])
    if known is not None and place in known:
        return known[place]
    names: set[str] = set()
    for node in raw.field_nodes:
        if node.selection_set is not None:
            names.update(
                _included(node.selection_set, raw.fragments, info.variable_values)
            )
    found = frozenset(names)
    if known is not None:
        known[place] = found
    return found


def _included(
    selections: SelectionSetNode, fragments: Fragments, variables: Mapping[str, Any]
) -> Iterator[str]:
    for node in selections.selections:
        if not _is_included(node, variables):
            continue
        if isinstance(node, FieldNode):
            yield node.name.value
        elif isinstance(node, InlineFragmentNode):
            yield from _included(node.selection_set, fragments, variables)
        elif isinstance(node, FragmentSpreadNode):
            fragment = fragments[node.name.value]
            yield from _included(fragment.selection_set, fragments, variables)


def _is_included(node: SelectionNode, variables: Mapping[str, Any]) -> bool:
    for directive in node.directives or ():
        name = directive.name.value
        if name not in ("skip", "include"):
            continue
        condition = next(iter(directive.arguments or ())).value
        if isinstance(condition, VariableNode):
            holds = bool(variables.get(condition.name.value))
        else:
            holds = isinstance(condition, BooleanValueNode) and condition.value
        if holds == (name == "skip"):
            return False
    return True


def selection_of(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
) -> Selection:
    """Every field that the operation asks of every type, in a valid document."""
    collector = _Collector(schema, document)
    root = schema.get_root_type(operation.operation)
    if root is not None:
        collector.visit(operation.selection_set, root)
    conditional = collector.is_conditional
    return Selection(collector.by_object_type(), below=None if conditional else {})


class _Collector:
    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fields: defaultdict[str, set[str]] = defaultdict(set)
        self._seen: set[str] = set()
        self.is_conditional = False
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }

    def visit(self, selections: SelectionSetNode, parent: GraphQLNamedType) -> None:
        """Note every field of a selection on `parent`, and of those below."""
        for node in selections.selections:
            self.is_conditional |= bool(node.directives)
            if isinstance(node, FieldNode):
                self._visit_field(node, parent)
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                kind = (
                    self._schema.get_type(condition.name.value) if condition else None
                )
                self.visit(node.selection_set, kind or parent)
            elif isinstance(node, FragmentSpreadNode):
                self._visit_fragment(node.name.value)

    def _visit_field(self, node: FieldNode, parent: GraphQLNamedType) -> None:
        self._fields[parent.name].add(node.name.value)
        if node.selection_set is None:
            return
        if is_object_type(parent) or is_interface_type(parent):
            field = parent.fields.get(node.name.value)
            if field is not None:  # else one of introspection's
                self.visit(node.selection_set, get_named_type(field.type))

    def _visit_fragment(self, name: str) -> None:
        if name in self._seen:
            return
        self._seen.add(name)
        fragment = self._fragments[name]
        kind = self._schema.get_type(fragment.type_condition.name.value)
        if kind is not None and is_composite_type(kind):
            self.visit(fragment.selection_set, kind)

    def by_object_type(self) -> dict[str, frozenset[str]]:
        """What is asked of an interface is asked of the types that implement it."""
        asked = {name: frozenset(fields) for name, fields in self._fields.items()}
        for name in list(self._schema.type_map):
            kind = self._schema.type_map[name]
            if is_object_type(kind):
                for interface in kind.interfaces:
                    more = self._fields.get(interface.name)
                    if more:
                        asked[name] = asked.get(name, frozenset()) | more
        return asked
