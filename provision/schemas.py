"""How one declared schema stands: pure, called by `plan.py`.

A schema gets fields and built-in routes that it lacks. No field of others is dropped,
no type, default or permission changed, and nothing is made required.
"""

from collections.abc import Iterator, Set
from dataclasses import replace

from .records import AUTOMATIC_FIELDS, Field, Json, Schema, schema_from, text_of
from .steps import Found, Step, same_but_for_case


def schema_step(schema: Schema, body: Json, found: Found, usable: Set[str]) -> Step:
    """Compare; `usable` are the schemas that a relation can name by then."""
    route = f"/database/{schema.name}" if schema.is_listable else None
    step = Step("schema", schema.name, "present", route=route)
    raw = found.schemas.get(schema.name)
    if raw is not None:
        return _step_of_existing(schema, raw, step, usable)
    obstacles = (
        *same_but_for_case(schema.name, found.schemas),
        *_relations_to_nowhere(_lacking(schema, frozenset()), usable),
    )
    if obstacles:
        return replace(step, status="blocked", details=obstacles)
    return replace(step, status="missing", body=body)


def _step_of_existing(schema: Schema, raw: Json, step: Step, usable: Set[str]) -> Step:
    there = schema_from(raw)
    step = replace(step, notes=tuple(_notes(schema, there)))
    differences = tuple(_differences(schema, there))
    obstacles = [
        *_obstacles(schema, there),
        *_relations_to_nowhere(_lacking(schema, there.fields.keys()), usable),
    ]
    if differences and not there.open_to_changes:
        obstacles.append("its permissions forbid changes (canModify)")
    if obstacles:
        return replace(step, status="blocked", details=(*obstacles, *differences))
    if not differences:
        return step
    return replace(
        step,
        status="differs",
        details=differences,
        id=text_of(raw, "_id"),
        body=_change(schema, there),
    )


def _relations_to_nowhere(lacking: list[Field], usable: Set[str]) -> Iterator[str]:
    """Conduit would give no answer to one, and its database module would hang."""
    for field in lacking:
        if field.model is not None and field.model not in usable:
            yield (
                f"field {field.name}: there is no schema {field.model} "
                "(is the module that brings it serving?)"
            )


def _lacking(schema: Schema, there: Set[str]) -> list[Field]:
    known = there | AUTOMATIC_FIELDS.keys()
    return [field for name, field in schema.fields.items() if name not in known]


def _differences(schema: Schema, there: Schema) -> Iterator[str]:
    """What adding can mend."""
    for field in _lacking(schema, there.fields.keys()):
        optional = ", added as optional" if field.required else ""
        yield f"field {field.name}: missing ({field.kind}{optional})"
    for name, operation in schema.operations.items():
        if operation.get("enabled") and not there.operations[name].get("enabled"):
            yield f"built-in route {name}: off"


def _obstacles(schema: Schema, there: Schema) -> Iterator[str]:
    """What only a person may decide."""
    if there.routes_are_off:
        yield "its built-in routes are switched off (cms.enabled)"
    for name, field in there.fields.items():
        declared = schema.fields.get(name)
        if name in AUTOMATIC_FIELDS:
            continue
        if declared is None:
            if field.required and not field.has_default:
                yield f"field {name}: required, but we never send it"
        elif declared.kind != field.kind:
            yield f"field {name}: {field.kind}, should be {declared.kind}"
        elif field.required and not declared.required:
            yield f"field {name}: required, should be optional"


def _notes(schema: Schema, there: Schema) -> Iterator[str]:
    for name, declared in schema.fields.items():
        field = there.fields.get(name)
        if field is None or name in AUTOMATIC_FIELDS:
            continue
        if declared.long_text and not field.long_text:
            yield f"field {name}: without sqlType Text; PostgreSQL keeps 255 characters"
        if declared.required and not field.required:
            yield f"field {name}: optional, declared as required"
    for name, operation in schema.operations.items():
        is_open = there.operations[name].get("authenticated") is False
        if operation.get("authenticated") and is_open:
            yield f"built-in route {name}: open to anyone without a token"


def _change(schema: Schema, there: Schema) -> Json:
    """The whole field list, as a change must send it: theirs, then what lacks."""
    kept = {key: there.raw_fields[key] for key in there.raw_fields}
    added = {
        field.name: _optional(schema.raw_fields[field.name], field)
        for field in _lacking(schema, there.fields.keys())
    }
    operations = {
        name: (
            schema.operations[name]
            if schema.operations[name].get("enabled") and not operation.get("enabled")
            else operation
        )
        for name, operation in there.operations.items()
    }
    cms = {**there.cms, "crudOperations": operations}
    return {
        "fields": {**kept, **AUTOMATIC_FIELDS, **added},
        "conduitOptions": {**there.options, "cms": cms},
    }


def _optional(raw: object, field: Field) -> object:
    """Documents that exist have no value for a new field, so it cannot be required."""
    return (
        {**raw, "required": False} if isinstance(raw, dict) and field.required else raw
    )
