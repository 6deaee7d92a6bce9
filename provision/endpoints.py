"""How one declared custom endpoint stands: pure, called by `plan.py`.

Its query is replaced and its inputs are completed, after saying so; inputs of others
stay, and so do conditions on them that an unsent input drops. Method, schema, paging
and openness are never changed: they shape the answers that other callers get.
"""

import json
from collections.abc import Iterator, Mapping, Set
from dataclasses import replace

from .records import (
    AUTOMATIC_FIELDS,
    Endpoint,
    Json,
    endpoint_from,
    fields_of_query,
    text_of,
)
from .steps import Found, Step, same_but_for_case

Fields = Mapping[str, Set[str]]

# The guide's own endpoint of this name is plain: no pages, no order. The server can
# work with it, so it may stay.
PLAIN_WILL_DO: Set[str] = frozenset({"GetPostsByAuthor"})
PLAIN_NOTE = (
    "plain (paginated: false), as in the guide; the server works with it, but reads "
    "all posts of an author to show one page. To have Conduit page them, delete the "
    "endpoint in the admin panel, once no other caller needs it, and --apply again"
)


def endpoint_step(endpoint: Endpoint, body: Json, found: Found, fields: Fields) -> Step:
    """Compare; `fields` are those of each schema that can be used by then."""
    step = _compared(endpoint, body, found)
    if step.status == "present":
        return step
    obstacles = tuple(_obstacles(endpoint, fields))
    if not obstacles:
        return step
    return replace(step, status="blocked", details=(*obstacles, *step.details))


def _compared(endpoint: Endpoint, body: Json, found: Found) -> Step:
    path = f"/database/function/{endpoint.name}"
    route = path if endpoint.is_plain_get else None
    step = Step("endpoint", endpoint.name, "present", route=route)
    raw = found.endpoints.get(endpoint.name)
    if raw is None:
        clashes = tuple(same_but_for_case(endpoint.name, found.endpoints))
        if clashes:
            return replace(step, status="blocked", details=clashes)
        return replace(step, status="missing", body=body)
    there = endpoint_from(raw)
    if endpoint.name in PLAIN_WILL_DO and not there.paginated:
        endpoint = replace(endpoint, paginated=False, sorted=there.sorted)
        step = replace(step, notes=(PLAIN_NOTE,))
    endpoint = replace(endpoint, query=_with_others(endpoint, there))
    differences = tuple(_differences(endpoint, there))
    conflicts = tuple(_conflicts(endpoint, there))
    if conflicts:
        return replace(step, status="blocked", details=(*conflicts, *differences))
    if differences:
        change = _change(endpoint, there, body, found)
        return replace(
            step,
            status="differs",
            details=differences,
            id=text_of(raw, "_id"),
            body=change,
        )
    return step


def _differences(endpoint: Endpoint, there: Endpoint) -> Iterator[str]:
    """What a change can mend without taking from other callers what they send."""
    for name, declared in endpoint.inputs.items():
        given = there.inputs.get(name)
        if given is None:
            yield f"input {name}: missing"
        elif _plain_input(given) not in _suitable(declared):
            yield f"input {name}: {_shown(given)} -> {_shown(declared)}"
    if endpoint.query != there.query:
        yield f"query: {_shown(there.query)} -> {_shown(endpoint.query)}"
    if endpoint.assignments and endpoint.assignments != there.assignments:
        old, new = _shown(there.assignments), _shown(endpoint.assignments)
        yield f"assignments: {old} -> {new}"
    if endpoint.sorted and not there.sorted:
        yield "sorted: no"


def _conflicts(endpoint: Endpoint, there: Endpoint) -> Iterator[str]:
    """What other callers would notice, or what we cannot call."""
    if not there.enabled:
        yield "it is switched off (enabled: false)"
    for name in ("schema", "operation", "paginated", "authentication"):
        is_so, should_be = getattr(there, name), getattr(endpoint, name)
        if is_so != should_be:
            yield f"{name}: {_shown(is_so)}, should be {_shown(should_be)}"
    for name, given in there.inputs.items():
        if name not in endpoint.inputs and not given["optional"]:
            yield f"input {name}: required, but we never send it"


def _obstacles(endpoint: Endpoint, fields: Fields) -> Iterator[str]:
    """What Conduit would refuse."""
    if endpoint.schema not in fields:
        yield f"there is no schema {endpoint.schema}"
        return
    known = fields[endpoint.schema] | AUTOMATIC_FIELDS.keys()
    for name in sorted(fields_of_query(endpoint.query) - known):
        yield f"the schema {endpoint.schema} has no field {name}"


def _change(endpoint: Endpoint, there: Endpoint, body: Json, found: Found) -> Json:
    """Ours, with the inputs that others added; names its schema, as it must."""
    others = [
        there.inputs[name] for name in there.inputs if name not in endpoint.inputs
    ]
    ours = [
        there.inputs[name]
        if _plain_input(there.inputs.get(name, {})) in _suitable(declared)
        else declared
        for name, declared in endpoint.inputs.items()
    ]
    declared = {key: body[key] for key in body if key != "selectedSchemaName"}
    return {
        **declared,
        "query": endpoint.query,
        "paginated": endpoint.paginated,
        "sorted": endpoint.sorted or there.sorted,
        "inputs": [*ours, *others],
        "selectedSchema": found.schemas[endpoint.schema]["_id"],
    }


def _with_others(endpoint: Endpoint, there: Endpoint) -> object:
    """The declared query, with conditions of others that do not concern us.

    A condition on an optional input that is not sent is dropped (conduit.md §4).
    """
    ours, theirs = _all_of(endpoint.query), _all_of(there.query)
    if ours is None or theirs is None:
        return endpoint.query
    harmless = [each for each in theirs if _input_of(each) in _unsent(endpoint, there)]
    kept = [each for each in theirs if each in ours or each in harmless]
    missing = [each for each in ours if each not in theirs]
    return {"AND": [*kept, *missing]}


def _all_of(query: object) -> list[object] | None:
    """The conditions that must hold together, if the query is nothing but those."""
    if not isinstance(query, dict) or query.keys() != {"AND"}:
        return None
    members = query["AND"]
    return members if isinstance(members, list) else None


def _input_of(condition: object) -> str | None:
    compared = condition.get("comparisonField") if isinstance(condition, dict) else None
    if not isinstance(compared, dict) or compared.get("type") != "Input":
        return None
    return str(compared.get("value"))


def _unsent(endpoint: Endpoint, there: Endpoint) -> Set[str]:
    """The optional inputs that others added."""
    return {
        name
        for name, given in there.inputs.items()
        if given["optional"] and name not in endpoint.inputs
    }


def _suitable(declared: Json) -> tuple[Json, Json]:
    """As declared; or optional, where we always send it."""
    exact = _plain_input(declared)
    return exact, {**exact, "optional": True}


def _plain_input(value: Json) -> Json:
    """What of an input decides how it is read."""
    return {key: value.get(key) for key in ("type", "location", "optional", "array")}


def _shown(value: object) -> str:
    return json.dumps(value, sort_keys=True)
