"""What is there, compared with what is declared: pure, no network.

`make_plan`, called by `command.py`, says for each schema and endpoint whether it is
present, missing, differs in a way that adding can mend, or is blocked: different in a
way that only a person may decide, because others may rely on what is there. The rules
are in `schemas.py` and `endpoints.py`.
"""

from collections.abc import Set

from .endpoints import endpoint_step
from .records import Declared, schema_from
from .schemas import schema_step
from .steps import Found, Plan, Step


def make_plan(declared: Declared, found: Found) -> Plan:
    """Compare. Raises: ShapeError (a list is not as recorded)."""
    steps: list[Step] = []
    fields = _fields_there(declared, found)
    usable = set(found.schemas)
    for schema, body in declared.schemas:
        step = schema_step(schema, body, found, usable)
        steps.append(step)
        if step.status != "blocked":
            usable.add(schema.name)
            fields[schema.name] = fields.get(schema.name, set()) | schema.fields.keys()
    for endpoint, body in declared.endpoints:
        steps.append(endpoint_step(endpoint, body, found, fields))
    return Plan(tuple(steps))


def _fields_there(declared: Declared, found: Found) -> dict[str, Set[str]]:
    """The fields of the schemas that are declared or that endpoints are over."""
    names = {schema.name for schema, _ in declared.schemas}
    names |= {endpoint.schema for endpoint, _ in declared.endpoints}
    return {
        name: set(schema_from(found.schemas[name]).fields)
        for name in names & found.schemas.keys()
    }
