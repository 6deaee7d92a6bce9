"""Says what exists: the public graph, composed from its domains.

`from schema import schema` is the one spelling for the schema object. What lives here:
types, fields, their descriptions, the checks of a document, and the one translation of
failures. How a field is answered stands in `resolvers/`; a field method here has at
most three statements.

What it must not do: call a client, read the environment, or show an upstream's text.
"""

from .build import build_schema

schema = build_schema()

__all__ = ["build_schema", "schema"]
