"""Executes GraphQL operations breadth-first by compiled plans.

A library of its own: it takes a graphql-core schema (made by strawberry or by hand)
and a validated document and answers with graphql-core's `ExecutionResult`. What it
does not compile it hands to graphql-core, operation by operation, and counts that.

It must not import any other package of this code base. README.md beside this file
explains the plan by one worked example.
"""

from .attribute import attribute, objects_of
from .batch import BATCH, Answers, batched
from .engine import Engine
from .executor import compiled_executor
from .plan import Fallback, Plan
from .reference import Reference

__all__ = [
    "BATCH",
    "Answers",
    "Engine",
    "Fallback",
    "Plan",
    "Reference",
    "attribute",
    "batched",
    "compiled_executor",
    "objects_of",
]
