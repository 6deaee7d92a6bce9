"""What was recorded of the Admin API: what it refused, and what it was sent."""

import json
import ssl
from typing import Any

import httpx
import pytest
from provision_harness import INIT

from harness import ROOT
from provision.access import Access
from provision.admin_api import AdminAPI, AdminError, NameInUseError
from provision.plan import make_plan
from provision.records import read_declared
from provision.steps import Found, Step

FILE = ROOT / "tests" / "recordings" / "conduit" / "admin.json"
EXCHANGES: list[Any] = json.loads(FILE.read_text())["exchanges"]
ACCESS = Access(
    admin_url="http://admin.example:3030", user="u", master_key="m", password="p"
)
# Number of the exchange → what the operator is told.
REFUSALS = {
    0: "CONDUIT_MASTER_KEY is not",
    1: "CONDUIT_MASTER_KEY is not",
    2: "CONDUIT_ADMIN_USER or CONDUIT_ADMIN_PASSWORD is wrong",
    4: "CONDUIT_MASTER_KEY is not",
    5: "The token was not accepted",
    15: "Schema name is already in use!",
    19: "custom endpoint already exists",
    21: "schemaField is not present/accessible in selected schema!",
    24: "Either selectedSchema or selectedSchemaName must be specified",
    27: "answers 404 without JSON",
}


def answer_of(number: int) -> httpx.Response:
    recorded = EXCHANGES[number]["response"]
    body = recorded.get("body", recorded.get("body_text"))
    kind = "text/html" if isinstance(body, str) else "application/json"
    return httpx.Response(
        recorded["status"],
        headers={"Content-Type": f"{kind}; charset=utf-8"},
        text=body if isinstance(body, str) else json.dumps(body),
    )


def test_every_recorded_refusal_is_looked_at() -> None:
    refused = [n for n, e in enumerate(EXCHANGES) if e["response"]["status"] >= 300]
    assert refused == list(REFUSALS)


@pytest.mark.parametrize("number", REFUSALS)
async def test_a_recorded_refusal_is_told(number: int) -> None:
    api = AdminAPI(ACCESS, ssl.create_default_context(), timeout_s=1)
    with pytest.raises(AdminError) as caught:
        api._read(answer_of(number), "trying")
    await api._http.aclose()
    assert REFUSALS[number] in str(caught.value)
    assert isinstance(caught.value, NameInUseError) == (number in (15, 19))


def sent(number: int) -> Any:
    return EXCHANGES[number]["request"]["body"]


def step_of(name: str, *, endpoints: dict[str, Any], posts: list[Any]) -> Step:
    system = [{"name": each, "_id": each, "fields": {}} for each in ("User", "File")]
    found = Found({each["name"]: each for each in [*system, *posts]}, endpoints)
    steps = make_plan(read_declared(ROOT / "conduit-init.json"), found).steps
    return next(step for step in steps if step.name == name)


@pytest.mark.parametrize(
    ("name", "number"),
    [("Post", 14), ("GetPostsByIds", 20)],
    ids=["schema", "endpoint"],
)
def test_what_is_created_is_sent_in_the_recorded_shape(name: str, number: int) -> None:
    """The schema by its name: it has no id before it is made."""
    step = step_of(name, endpoints={}, posts=[])
    assert step.body is not None
    assert step.body.keys() == sent(number).keys() - {"authorization"}
    if name == "Post":
        options: Any = step.body["conduitOptions"]
        recorded = sent(number)["conduitOptions"]
        assert options["cms"] == recorded["cms"]
        fields: Any = step.body["fields"]
        texts = [fields[field]["sqlType"] for field in ("title", "body")]
        assert texts == [sent(number)["fields"]["body"]["sqlType"]] * 2 == ["Text"] * 2


def test_what_is_changed_is_sent_in_the_recorded_shape() -> None:
    """An endpoint names its schema again, a schema sends its whole field list."""
    listed = EXCHANGES[13]["response"]["body"]["schemas"][0]
    schema = step_of("Post", endpoints={}, posts=[listed])
    assert schema.body is not None
    assert schema.body.keys() == sent(17).keys()
    fields: Any = schema.body["fields"]
    assert fields.keys() >= listed["fields"].keys()
    old = INIT["customEndpoints"][0] | {"_id": "e-1", "query": {"AND": []}}
    step = step_of("GetPostsByIds", endpoints={old["name"]: old}, posts=[listed])
    assert step.body is not None
    assert step.body.keys() == sent(25).keys()
    assert step.body["selectedSchema"] == listed["_id"]
