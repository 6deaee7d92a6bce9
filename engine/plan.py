"""What a compiled operation consists of: plain data, no behaviour.

`compile.py` makes it, `run.py` and `complete.py` follow it. A `Plan` holds the root
`Selection`; a `Selection` is the merged fields of one object type at one place of the
document; a `Field` knows how its values are obtained and what may be null.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLAbstractType,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
)

if TYPE_CHECKING:
    from .level import Level
    from .run import Run

# The values of resolvers, and their arguments, are whatever the schema's author
# made them: `Any` is the honest type, as it is in graphql-core.
Value: TypeAlias = Any
Arguments: TypeAlias = dict[str, Any]
# Arguments that calls may share, by what made them of the variables.
Shared: TypeAlias = "dict[Callable[[Run], Arguments], Arguments]"
# Where in the nested lists of a field: () is the field itself, (2,) its third item.
Slot: TypeAlias = tuple[int, ...]


def no_type(_class: type) -> None:
    """Without strawberry nothing is known of a class."""


@dataclass(slots=True, eq=False)
class Field:
    """One response key of a selection, and all that can be known before it runs.

    Exactly one of these says where its values come from: `attribute` (the generated
    function reads it), `call` (once for every object), `batch` (once for all).
    """

    key: str
    index: int
    nodes: list[FieldNode]
    parent: GraphQLObjectType
    definition: GraphQLField
    nullable: tuple[bool, ...]
    """May it be null: the field itself, then its items, then their items …"""
    depth: int
    """How many lists are around the named type."""
    coerce: Callable[[Value], Value] | None
    """Leaf types: turns a value into its response form. None: has a selection."""
    exact: type | None
    """The class of which `coerce` would hand every instance back unchanged."""
    selections: dict[GraphQLObjectType, Selection]
    """Composite types: the selections compiled so far."""
    compile_for: Callable[[GraphQLObjectType], Selection]
    """Compiles the selection for a type that turns up, and keeps it."""
    object_type: GraphQLObjectType | None
    abstract_type: GraphQLAbstractType | None
    constants: Arguments | None
    """The arguments, if they are the same in every run."""
    arguments: Callable[[Run], Arguments]
    """Makes the arguments if not."""
    share_arguments: bool
    """False: a resolver could change what it is given, so each call gets its own."""
    attribute: str | None = None
    """A name, or names with dots between: an attribute of an attribute."""
    convert: Callable[[Value], Value] | None = None
    """Turns what `attribute` holds into the value of the field."""
    declared: Value = None
    """What `attribute` holds for certain: a class, or a union of classes."""
    calls_value: bool = False
    """The default resolver of graphql-core: a callable attribute is called."""
    call: Callable[[Run, Field, Level, int, Value, Arguments], Value] | None = None
    type_of_class: Callable[[type], GraphQLObjectType | None] = no_type
    """Composite types: the type that every instance of a class has here, None if each
    of them has to be asked."""
    batch: (
        Callable[[Run, Field, Level, int, Sequence[Value], Arguments], Value] | None
    ) = None
    """Its `info`, if it wants one, is that of the row that is named first."""
    by_class: dict[type, Selection] = field(default_factory=dict)
    """Composite types: what is selected of objects of a class, for the classes of which
    an instance is an object, and always of one type."""
    held: str | None = None
    """Batched: the attribute with the value itself, where that came with the object."""
    stored: set[type] = field(default_factory=set)
    """Of `by_class` those whose objects `whole` may read; see `whole.py`."""
    whole: Whole | None = None
    """Makes the responses of usual values with everything below them; made late."""
    makers: dict[type, Callable[[Value], Value]] = field(default_factory=dict)
    """The same of one object, by its class, where the field is of an abstract type."""
    quiet: bool = False
    """No resolver is called below it: when its values are there nothing is begun."""
    unrest: int = 2
    """What else has to be looked after when it ends: 0 nothing, 1 what is begun below
    it, 2 also what is cancelled if it fails, since it must not be null."""

    @property
    def title(self) -> str:
        """The field as error messages name it."""
        return f"{self.parent.name}.{self.nodes[0].name.value}"


# Generated: reads the plain fields of every source into a dict each (None for an
# object that a non-null field nulled), and gives the values of the other attributes.
Reader: TypeAlias = Callable[
    ["Run", "Level", "Sequence[Value]"], "tuple[list[Value], ...]"
]
# Generated: puts the responses of values, all below included, into the responses of
# their objects. Raises for what is unusual, and has put nothing then.
Whole: TypeAlias = Callable[[Sequence[dict[str, Value] | None], Sequence[Value]], None]


@dataclass(slots=True, eq=False)
class Selection:
    """The merged fields of one object type at one place of the document."""

    type_: GraphQLObjectType
    entries: tuple[Field | tuple[str, str], ...]
    """Its fields, and what is constant, in their order."""
    read: Reader
    columns: tuple[Field, ...]
    """Attributes that are lists or objects: `read` gives their values in this order."""
    resolved: tuple[Field, ...]
    """Fields with a resolver: called by `run.py`."""
    source: str
    """The generated code of `read`, for documentation and debugging."""


@dataclass(slots=True, eq=False)
class Plan:
    """A compiled operation."""

    schema: GraphQLSchema
    operation: OperationDefinitionNode
    fragments: dict[str, FragmentDefinitionNode]
    root: Selection
    info: Callable[[Run, Field, Level, int], Any]
    """Makes what resolvers are told of where they are called."""
    serial: Sequence[Field] = ()
    """The root fields of a mutation, in their order."""
    blank: dict[str, str | None] | None = None
    """The root's response before a resolver is called, if nothing of it is read."""
    in_turns: bool = False
    """Whether what root fields give may be awaited in turns: none can take another
    with it, and at most one has something below it to be begun when it ends."""
    ordinary: set[type] = field(default_factory=set)
    """Classes of objects that were met; see `complete.regular`."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """The operation is graphql-core's to execute; `reason` is counted."""

    reason: str


@dataclass(slots=True)
class Counts:
    """How many operations ran by a plan, and why the others did not."""

    compiled: int = 0
    plans: int = 0
    fallbacks: dict[str, int] = field(default_factory=dict)
