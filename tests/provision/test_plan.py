"""The comparison, over the shapes that a real Conduit was recorded to list."""

import copy
import json
from typing import Any

import pytest
from provision_harness import INIT

from harness import ROOT
from provision.plan import make_plan
from provision.records import ShapeError, read_declared
from provision.steps import Found, Step

RECORDINGS = ROOT / "tests" / "recordings" / "conduit"
DECLARED = read_declared(ROOT / "conduit-init.json")
OPERATIONS = ("create", "read", "update", "delete")


def recorded_post() -> Any:
    """The schema Post of the guide's application, as `GET /database/schemas` lists."""
    exchanges = json.loads((RECORDINGS / "admin.json").read_text())["exchanges"]
    return copy.deepcopy(exchanges[13]["response"]["body"]["schemas"][0])


def recorded_endpoint(name: str) -> Any:
    text = (RECORDINGS / "custom_endpoint_definitions.json").read_text()
    return next(each for each in json.loads(text)["endpoints"] if each["name"] == name)


def listed_post() -> Any:
    """Ours, as it is listed once it is made."""
    post = recorded_post()
    automatic = ("_id", "createdAt", "updatedAt")
    kept = {name: post["fields"][name] for name in automatic}
    post["fields"] = copy.deepcopy(INIT["schemas"][0]["fields"]) | kept
    post["compiledFields"] = post["fields"]
    return post


def listed_endpoint(name: str) -> Any:
    """One of ours, with the additions of a list."""
    declared = next(each for each in INIT["customEndpoints"] if each["name"] == name)
    return copy.deepcopy(declared) | {
        "_id": "e-1",
        "enabled": True,
        "assignments": None,
    }


def step_of(name: str, schemas: list[Any], endpoints: list[Any]) -> Step:
    system = [{"name": name, "_id": name, "fields": {}} for name in ("User", "File")]
    found = Found(
        {each["name"]: each for each in [*system, *schemas]},
        {each["name"]: each for each in endpoints},
    )
    plan = make_plan(DECLARED, found)
    return next(step for step in plan.steps if step.name == name)


def schema_step(post: Any) -> Step:
    return step_of("Post", [post], [])


def endpoint_step(endpoint: Any) -> Step:
    return step_of(endpoint["name"], [listed_post()], [endpoint])


def test_what_was_made_is_present_although_it_is_listed_in_another_shape() -> None:
    names = [each["name"] for each in INIT["customEndpoints"]]
    assert schema_step(listed_post()).status == "present"
    assert {endpoint_step(listed_endpoint(name)).status for name in names} == {
        "present"
    }


def test_the_guides_schema_gets_the_one_field_that_it_lacks() -> None:
    post = recorded_post()
    step = schema_step(post)
    assert (step.status, step.details) == ("differs", ("field body: missing (String)",))
    assert step.id == post["_id"]
    assert step.body is not None
    fields: Any = step.body["fields"]
    assert fields.keys() == post["fields"].keys() | {"body"}
    assert {name: fields[name] for name in ("_id", "createdAt", "updatedAt")} == {
        "_id": "ObjectId",
        "createdAt": "Date",
        "updatedAt": "Date",
    }
    assert all(fields[name] == post["fields"][name] for name in ("tags", "meta"))
    assert "255 characters" in step.notes[0]


def test_the_guides_plain_endpoint_will_do_and_its_price_is_told() -> None:
    step = endpoint_step(recorded_endpoint("GetPostsByAuthor"))
    assert (step.status, step.body) == ("present", None)
    (note,) = step.notes
    assert "plain" in note
    assert "delete the endpoint in the admin panel" in note


def test_a_plain_endpoint_that_is_changed_stays_plain() -> None:
    other = recorded_endpoint("GetPostsByAuthor") | {"query": {"AND": []}}
    step = endpoint_step(other)
    assert step.status == "differs"
    assert step.body is not None
    assert (step.body["paginated"], step.body["sorted"]) == (False, False)


def test_no_other_endpoint_may_be_plain() -> None:
    step = endpoint_step(listed_endpoint("PostsBefore") | {"paginated": False})
    assert (step.status, step.details) == (
        "blocked",
        ("paginated: false, should be true",),
    )


def test_conditions_of_others_on_inputs_that_we_never_send_are_kept() -> None:
    """The recorded SearchPosts has two of its own, and an optional title."""
    there = recorded_endpoint("SearchPosts")
    step = endpoint_step(there)
    assert step.status == "differs"
    assert step.details[0] == "input authorId: missing"
    assert step.body is not None
    sent: Any = step.body
    assert [each["schemaField"] for each in sent["query"]["AND"]] == [
        *("title", "views", "published"),
        "author",
    ]
    names = [each["name"] for each in sent["inputs"]]
    assert names == ["title", "authorId", "minViews", "published"]
    assert sent["inputs"][0]["optional"] is True
    after = there | {"query": sent["query"], "inputs": sent["inputs"]}
    assert endpoint_step(after).status == "present"


def test_a_condition_that_would_hold_for_us_too_is_not_kept() -> None:
    there = listed_endpoint("SearchPosts")
    fixed = {"type": "Custom", "value": True}
    there["query"]["AND"].append(
        {"schemaField": "published", "operation": 0, "comparisonField": fixed}
    )
    step = endpoint_step(there)
    assert step.body is not None
    assert step.body["query"] == listed_endpoint("SearchPosts")["query"]


def test_order_of_keys_and_unset_options_make_no_difference() -> None:
    endpoint = listed_endpoint("SearchPosts")
    condition = endpoint["query"]["AND"][0]
    condition["comparisonField"] = {
        "caseSensitiveLike": False,
        "like": True,
        "value": "title",
        "type": "Input",
    }
    for each in endpoint["inputs"]:
        each["optional"] = each["optional"] or None
        del each["array"]
    inputs = [
        each | {"optional": bool(each["optional"])} for each in endpoint["inputs"]
    ]
    endpoint["inputs"] = inputs[::-1]
    assert endpoint_step(endpoint).status == "present"


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("title", {"type": "Number", "required": True}, "Number, should be String"),
        ("body", {"type": ["String"]}, '["String"], should be String'),
        (
            "author",
            {"type": "Relation", "model": "Team"},
            "Relation to Team, should be Relation to User",
        ),
        ("body", {"type": "String", "required": True}, "required, should be optional"),
        ("rank", {"type": "Number", "required": True}, "required, but we never send"),
    ],
)
def test_a_field_that_stands_in_the_way_blocks_the_schema(
    field: str, value: Any, told: str
) -> None:
    post = listed_post()
    post["fields"][field] = value
    step = schema_step(post)
    assert (step.status, step.body) == ("blocked", None)
    assert step.details[0].startswith(f"field {field}: {told}")


@pytest.mark.parametrize(
    "value",
    [{"type": "Number", "required": True, "default": 0}, {"type": "Number"}, "Number"],
)
def test_a_field_of_others_that_we_need_not_send_is_welcome(value: Any) -> None:
    post = listed_post()
    post["fields"]["rank"] = value
    assert schema_step(post).status == "present"


def test_a_field_that_a_module_added_is_known_but_not_sent_back() -> None:
    post = listed_post()
    by_module = {"coverFile": post["fields"].pop("coverFile")}
    post["compiledFields"] = post["fields"] | by_module
    assert schema_step(post).status == "present"
    del post["fields"]["body"], post["compiledFields"]["body"]
    step = schema_step(post)
    assert step.body is not None
    fields: Any = step.body["fields"]
    assert fields.keys() == post["fields"].keys() | {"body"}


def test_laxer_than_declared_is_only_noted() -> None:
    post = listed_post()
    post["fields"]["title"] = {"type": "String", "sqlType": "Text"}
    operations = post["modelOptions"]["conduit"]["cms"]["crudOperations"]
    operations["read"]["authenticated"] = False
    step = schema_step(post)
    assert step.status == "present"
    assert step.notes == (
        "field title: optional, declared as required",
        "built-in route read: open to anyone without a token",
    )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_built_in_route_that_is_off_is_switched_on_alone(operation: str) -> None:
    post = listed_post()
    cms = post["modelOptions"]["conduit"]["cms"]
    cms["crudOperations"][operation] = {"enabled": False, "authenticated": False}
    other = next(each for each in OPERATIONS if each != operation)
    cms["crudOperations"][other]["authenticated"] = False
    step = schema_step(post)
    assert step.details == (f"built-in route {operation}: off",)
    assert step.body is not None
    sent: Any = step.body["conduitOptions"]
    wanted = copy.deepcopy(cms["crudOperations"])
    wanted[operation] = {"enabled": True, "authenticated": True}
    assert sent["cms"]["crudOperations"] == wanted


@pytest.mark.parametrize("can_modify", ["Nothing", "ExtensionOnly"])
def test_a_schema_that_forbids_changes_is_blocked_only_if_it_needs_one(
    can_modify: str,
) -> None:
    post = listed_post()
    post["modelOptions"]["conduit"]["permissions"]["canModify"] = can_modify
    assert schema_step(post).status == "present"
    del post["fields"]["body"]
    assert "canModify" in schema_step(post).details[0]


def test_routes_that_are_all_off_are_left_to_a_person() -> None:
    post = listed_post()
    post["modelOptions"]["conduit"]["cms"]["enabled"] = False
    assert schema_step(post).status == "blocked"


@pytest.mark.parametrize("name", ["post", "POST"])
def test_a_schema_whose_name_differs_in_case_alone_blocks(name: str) -> None:
    step = step_of("Post", [{"name": name, "_id": "x", "fields": {}}], [])
    assert step.details == (f"{name} exists, which differs only in case",)


def test_an_endpoint_whose_name_differs_in_case_alone_blocks() -> None:
    endpoint = listed_endpoint("GetFiles") | {"name": "getfiles"}
    step = step_of("GetFiles", [listed_post()], [endpoint])
    assert step.details == ("getfiles exists, which differs only in case",)


def test_an_input_of_others_that_we_must_send_blocks() -> None:
    endpoint = listed_endpoint("GetPostsByIds")
    extra = {"name": "lang", "type": "String", "location": 1, "optional": False}
    endpoint["inputs"].append(extra)
    step = endpoint_step(endpoint)
    assert step.details == ("input lang: required, but we never send it",)


def test_a_change_of_an_endpoint_names_its_schema_by_id() -> None:
    endpoint = listed_endpoint("PostsBefore") | {"sorted": False}
    step = endpoint_step(endpoint)
    assert (step.status, step.details, step.id) == ("differs", ("sorted: no",), "e-1")
    assert step.body is not None
    assert step.body["selectedSchema"] == recorded_post()["_id"]
    assert "selectedSchemaName" not in step.body


def test_an_endpoint_over_a_field_that_will_not_be_there_is_blocked() -> None:
    post = listed_post()
    post["fields"]["title"] = {"type": "Number"}
    del post["fields"]["author"]
    step = step_of("GetPostsByAuthor", [post], [])
    assert step.details == ("the schema Post has no field author",)


def test_without_its_schema_an_endpoint_is_blocked() -> None:
    plan = make_plan(DECLARED, Found({}, {}))
    steps = {step.name: step for step in plan.steps}
    assert steps["Post"].status == "blocked"
    assert steps["GetUsersByIds"].details == ("there is no schema User",)
    assert steps["GetPostsByIds"].details == ("there is no schema Post",)


@pytest.mark.parametrize("broken", ["fields", "_id", "modelOptions"])
def test_a_list_that_is_not_as_recorded_is_refused(broken: str) -> None:
    post = recorded_post() | {broken: 7}
    del post["compiledFields"]
    with pytest.raises(ShapeError):
        schema_step(post)
