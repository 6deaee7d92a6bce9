"""How big a document may be, decided before any work is done for it.

Checked by `documents.py` after parsing and before validation, whose rules cost more
than linear time. Fragments count as often as they are spread, but each is measured
once, so a tower of fragments costs no more than its text. Page size is checked where
pages are made (`connections.py`).
"""

from dataclasses import dataclass
from typing import Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

# GraphiQL asks for types of types of types; its query is as deep as this.
INTROSPECTION_DEPTH: Final = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a document. The defaults let GraphiQL and Relay through."""

    max_tokens: int = 2_000
    max_depth: int = 15
    max_aliases: int = 100
    max_fields: int = 1_000
    cached_documents: int = 128


@dataclass(frozen=True, slots=True)
class Size:
    """Of a selection, with its fragments spread out."""

    depth: int = 0
    introspection_depth: int = 0
    aliases: int = 0
    fields: int = 0

    def beside(self, other: "Size") -> "Size":
        """Both in one selection."""
        return Size(
            depth=max(self.depth, other.depth),
            introspection_depth=max(
                self.introspection_depth, other.introspection_depth
            ),
            aliases=self.aliases + other.aliases,
            fields=self.fields + other.fields,
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
        )


def check_size(document: DocumentNode, limits: Limits) -> None:
    """Raises: GraphQLError with QUERY_TOO_COMPLEX."""
    ruler = _Ruler(document)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            size = ruler.measure(definition.selection_set)
            _compare("depth", size.depth, limits.max_depth)
            _compare("depth", size.introspection_depth, INTROSPECTION_DEPTH)
            _compare("number of aliases", size.aliases, limits.max_aliases)
            _compare("number of fields", size.fields, limits.max_fields)


def too_complex(message: str) -> GraphQLError:
    """The error of every limit."""
    return GraphQLError(message, extensions={"code": "QUERY_TOO_COMPLEX"})


def _compare(what: str, actual: int, allowed: int) -> None:
    if actual > allowed:
        raise too_complex(f"The document's {what} must not exceed {allowed}.")


class _Ruler:
    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._measured: dict[str, Size] = {}

    def measure(self, selections: SelectionSetNode) -> Size:
        """The size of a selection with everything below it."""
        total = Size()
        for node in selections.selections:
            if isinstance(node, FieldNode):
                inner = (
                    self.measure(node.selection_set) if node.selection_set else Size()
                )
                total = total.beside(inner.below(node))
            elif isinstance(node, InlineFragmentNode):
                total = total.beside(self.measure(node.selection_set))
            elif isinstance(node, FragmentSpreadNode):
                total = total.beside(self._fragment(node.name.value))
        return total

    def _fragment(self, name: str) -> Size:
        if name not in self._measured:
            # A fragment within itself counts as nothing; validation refuses it.
            self._measured[name] = Size()
            fragment = self._fragments.get(name)
            if fragment is not None:
                self._measured[name] = self.measure(fragment.selection_set)
        return self._measured[name]
