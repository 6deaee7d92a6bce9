"""Merges the fields of selection sets: fragments followed, `@skip` and `@include` done.

Works at compile time. A directive whose condition is a variable makes the plan depend
on the value of that variable; the plan then has one variant for each combination of
such values that is asked for (see `engine.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from graphql import (
    BooleanValueNode,
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
    is_abstract_type,
)

CONDITIONS = ("skip", "include")
INTROSPECTION = ("__schema", "__type")
INCREMENTAL = ("defer", "stream")


class NotCompiledError(Exception):
    """This operation is graphql-core's to execute; says why."""


class Collector:
    """Collects fields of one operation, its conditional variables having values."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        conditions: Mapping[str, bool],
    ) -> None:
        self.schema = schema
        self.fragments = fragments
        self.conditions = conditions

    def collect(
        self, type_: GraphQLObjectType, sets: Iterable[SelectionSetNode]
    ) -> dict[str, list[FieldNode]]:
        """The fields of an object type by response key, in order."""
        found: dict[str, list[FieldNode]] = {}
        visited: set[str] = set()
        for selection_set in sets:
            for node in self.walk(type_, selection_set, visited):
                key = node.alias.value if node.alias else node.name.value
                found.setdefault(key, []).append(node)
        return found

    def walk(
        self, type_: GraphQLObjectType, selection_set: SelectionSetNode, seen: set[str]
    ) -> Iterator[FieldNode]:
        """The field nodes that apply to the type, fragments followed once."""
        for node in selection_set.selections:
            if not self.included(node):
                continue
            if isinstance(node, FieldNode):
                yield node
                continue
            fragment: InlineFragmentNode | FragmentDefinitionNode | None = None
            if isinstance(node, InlineFragmentNode):
                fragment = node
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                fragment = self.fragments.get(node.name.value)
            if fragment is None or not self.applies(fragment, type_):
                continue
            if isinstance(node, FragmentSpreadNode):
                seen.add(node.name.value)
            yield from self.walk(type_, fragment.selection_set, seen)

    def applies(
        self,
        fragment: InlineFragmentNode | FragmentDefinitionNode,
        type_: GraphQLObjectType,
    ) -> bool:
        """Whether the type condition of a fragment holds for an object type."""
        if fragment.type_condition is None:
            return True
        condition = self.schema.get_type(fragment.type_condition.name.value)
        if condition is type_:
            return True
        return is_abstract_type(condition) and self.schema.is_sub_type(condition, type_)

    def included(self, node: SelectionNode) -> bool:
        """Evaluate `@skip` and `@include`."""
        for directive in node.directives or ():
            name = directive.name.value
            if name in CONDITIONS and self.condition(directive) is (name == "skip"):
                return False
        return True

    def condition(self, directive: DirectiveNode) -> bool:
        """The value of `if`."""
        for argument in directive.arguments or ():
            if argument.name.value == "if":
                if isinstance(argument.value, BooleanValueNode):
                    return argument.value.value
                if isinstance(argument.value, VariableNode):
                    return self.conditions[argument.value.name.value]
        raise NotCompiledError("directive without condition")


def condition_names(
    sets: Iterable[SelectionSetNode], fragments: Mapping[str, FragmentDefinitionNode]
) -> list[str]:
    """The variables that conditions of an operation depend on.

    Raises: NotCompiledError for what only graphql-core executes.
    """
    names: dict[str, None] = {}
    pending = list(sets)
    followed: set[str] = set()
    while pending:
        for node in pending.pop().selections:
            for directive in node.directives or ():
                name = directive.name.value
                if name in INCREMENTAL:
                    raise NotCompiledError("incremental delivery")
                if name in CONDITIONS:
                    for argument in directive.arguments or ():
                        if isinstance(argument.value, VariableNode):
                            names[argument.value.name.value] = None
            if isinstance(node, FragmentSpreadNode):
                name = node.name.value
                fragment = fragments.get(name)
                if fragment is not None and name not in followed:
                    followed.add(name)
                    if fragment.variable_definitions:
                        raise NotCompiledError("fragment variables")
                    pending.append(fragment.selection_set)
            elif isinstance(node, FieldNode | InlineFragmentNode):
                if isinstance(node, FieldNode) and node.name.value in INTROSPECTION:
                    raise NotCompiledError("introspection")
                if node.selection_set is not None:
                    pending.append(node.selection_set)
    return list(names)


class Measure:
    """How deep and how large selections are once their fragments are written out.

    A few fragments that use each other twice make millions of fields; each fragment
    is measured once.
    """

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self.fragments = fragments
        self.known: dict[str, tuple[int, int] | None] = {}

    def of(self, selection_set: SelectionSetNode | None) -> tuple[int, int]:
        """Depth and number of selections.

        Raises: NotCompiledError for fragments that contain themselves.
        """
        depth = size = 0
        for node in selection_set.selections if selection_set else ():
            below = (
                self.of_fragment(node.name.value)
                if isinstance(node, FragmentSpreadNode)
                else self.of(getattr(node, "selection_set", None))
            )
            depth, size = max(depth, below[0] + 1), size + below[1] + 1
        return depth, size

    def of_fragment(self, name: str) -> tuple[int, int]:
        """Depth and size of a fragment."""
        if name not in self.known:
            self.known[name] = None
            fragment = self.fragments.get(name)
            self.known[name] = self.of(fragment.selection_set if fragment else None)
        measured = self.known[name]
        if measured is None:
            raise NotCompiledError("fragment cycle")
        return measured
