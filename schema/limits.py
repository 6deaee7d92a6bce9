"""How big a document may be, decided before any work is done for it.

Checked by `documents.py`: brackets and tokens before and while parsing, the rest after
parsing and before validation, whose rules cost more than linear time. Fragments count
as often as they are spread, but each is measured once, so a tower of fragments costs
no more than its text. Page size is checked where pages are made (`connections.py`),
cost when the variables are known (`costs.py`).
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Final, Literal

from graphql import (
    DocumentNode,
    ExecutableDefinitionNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
)

# GraphiQL asks for types of types of types; its query is as deep as this.
INTROSPECTION_DEPTH: Final = 16

Mode = Literal["off", "measure", "enforce"]


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound: enforced, or only measured (what passes it is logged), or off."""

    most: int
    mode: Mode = "enforce"
    # What is above it is too much, and somebody wants to know.
    bound: float = field(init=False)
    # The bound, where it is one.
    enforced: int | None = field(init=False)
    # The bound, where what passes it is only told.
    measured: int | None = field(init=False)

    def __post_init__(self) -> None:
        most, mode = self.most, self.mode
        put = partial(object.__setattr__, self)
        put("bound", inf if mode == "off" else most)
        put("enforced", most if mode == "enforce" else None)
        put("measured", most if mode == "measure" else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of an operation. The defaults let GraphiQL and Relay through."""

    tokens: Limit = Limit(2_000)
    nesting: Limit = Limit(60)
    depth: Limit = Limit(15)
    aliases: Limit = Limit(100)
    directives: Limit = Limit(50)
    fields: Limit = Limit(1_000)
    repeated_fields: Limit = Limit(20)
    root_fields: Limit = Limit(50)
    page_size: Limit = Limit(100)
    cost: Limit = Limit(20_000)
    cached_documents: int = 128


_OFF: Final = Limit(0, "off")
# Of documents that were reviewed when they were built.
UNLIMITED: Final = Limits(
    tokens=_OFF,
    nesting=_OFF,
    depth=_OFF,
    aliases=_OFF,
    directives=_OFF,
    fields=_OFF,
    repeated_fields=_OFF,
    root_fields=_OFF,
    cost=_OFF,
)


@dataclass(frozen=True, slots=True)
class Size:
    """Of a selection, with its fragments spread out."""

    depth: int = 0
    introspection_depth: int = 0
    aliases: int = 0
    fields: int = 0
    directives: int = 0
    repeated: int = 0

    def beside(self, other: "Size") -> "Size":
        """Both in one selection."""
        return Size(
            depth=max(self.depth, other.depth),
            introspection_depth=max(
                self.introspection_depth, other.introspection_depth
            ),
            aliases=self.aliases + other.aliases,
            fields=self.fields + other.fields,
            directives=self.directives + other.directives,
            repeated=max(self.repeated, other.repeated),
        )

    def below(self, field: FieldNode) -> "Size":
        """This, as the selection of `field`."""
        depth, introspection_depth = self.depth + 1, self.introspection_depth
        if field.name.value.startswith("__"):
            depth, introspection_depth = 0, max(depth, introspection_depth + 1)
        return Size(
            depth=depth,
            introspection_depth=introspection_depth,
            aliases=self.aliases + (field.alias is not None),
            fields=self.fields + 1,
            directives=self.directives,
            repeated=self.repeated,
        )


def check_size(document: DocumentNode, limits: Limits) -> tuple[str, ...]:
    """What passes a limit that is only measured.

    Raises: GraphQLError with QUERY_TOO_COMPLEX for the first that is enforced.
    """
    ruler = _Ruler(document)
    passed: list[str] = []
    on_definitions = sum(
        len(node.directives or ())
        for node in document.definitions
        if isinstance(node, ExecutableDefinitionNode)
    )
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            size = ruler.measure(definition.selection_set)
            roots = ruler.width(definition.selection_set)
            introspection = Limit(INTROSPECTION_DEPTH, limits.depth.mode)
            directives = on_definitions + size.directives
            passed += check("depth", size.depth, limits.depth)
            passed += check("depth", size.introspection_depth, introspection)
            passed += check("number of aliases", size.aliases, limits.aliases)
            passed += check("number of directives", directives, limits.directives)
            passed += check("number of fields", size.fields, limits.fields)
            passed += check("number of root fields", roots, limits.root_fields)
            passed += check(
                "repetition of one field", size.repeated, limits.repeated_fields
            )
    return tuple(passed)


def aliases_of(document: DocumentNode, operation: OperationDefinitionNode) -> int:
    """The aliases of one operation, fragments spread out."""
    return _Ruler(document).measure(operation.selection_set).aliases


def check(what: str, actual: int, limit: Limit) -> tuple[str, ...]:
    """One sentence if the limit is passed and only measured, none if it is kept.

    Raises: GraphQLError with QUERY_TOO_COMPLEX if it is passed and enforced.
    """
    if actual <= limit.bound:
        return ()
    if limit.enforced is not None:
        raise too_complex(f"The document's {what} must not exceed {limit.most}.")
    return (f"the document's {what} is {actual} and exceeds {limit.most}",)


def too_complex(message: str) -> GraphQLError:
    """The error of every limit."""
    return GraphQLError(message, extensions={"code": "QUERY_TOO_COMPLEX"})


class _Ruler:
    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._measured: dict[str, Size] = {}
        self._widths: dict[str, int] = {}

    def measure(self, selections: SelectionSetNode) -> Size:
        """The size of a selection with everything below it."""
        total = Size(repeated=_repetition(selections))
        for node in selections.selections:
            total = total.beside(self._of_one(node))
        return total

    def width(self, selections: SelectionSetNode) -> int:
        """How many fields stand in a selection itself, fragments spread out."""
        total = 0
        for node in selections.selections:
            if isinstance(node, InlineFragmentNode):
                total += self.width(node.selection_set)
            elif isinstance(node, FragmentSpreadNode):
                total += self._fragment_width(node.name.value)
            else:
                total += 1
        return total

    def _of_one(self, node: SelectionNode) -> Size:
        size = Size()
        if isinstance(node, FieldNode):
            inner = self.measure(node.selection_set) if node.selection_set else Size()
            size = inner.below(node)
        elif isinstance(node, InlineFragmentNode):
            size = self.measure(node.selection_set)
        elif isinstance(node, FragmentSpreadNode):
            size = self._fragment(node.name.value)
        return size.beside(Size(directives=len(node.directives or ())))

    def _fragment(self, name: str) -> Size:
        if name not in self._measured:
            # A fragment within itself counts as nothing; validation refuses it.
            self._measured[name] = Size()
            fragment = self._fragments.get(name)
            if fragment is not None:
                self._measured[name] = self.measure(fragment.selection_set)
        return self._measured[name]

    def _fragment_width(self, name: str) -> int:
        if name not in self._widths:
            self._widths[name] = 0
            fragment = self._fragments.get(name)
            if fragment is not None:
                self._widths[name] = self.width(fragment.selection_set)
        return self._widths[name]


def _repetition(selections: SelectionSetNode) -> int:
    """How often the most frequent field, or fragment, stands in a selection."""
    names = Counter(
        node.alias.value if node.alias else node.name.value
        for node in selections.selections
        if isinstance(node, FieldNode)
    )
    spreads = Counter(
        node.name.value
        for node in selections.selections
        if isinstance(node, FragmentSpreadNode)
    )
    return max([0, *names.values(), *spreads.values()])
