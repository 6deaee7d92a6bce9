"""What schemathesis is told of this graph, in an environment of its own (`run.py`).

Two people take turns, case by case. Beside schemathesis's own checks each answer must
keep the promises of docs/errors.md, and nobody may see a note of the other's: they
hold a mark. One kind of its failures is dropped, a refusal with BAD_USER_INPUT by a
field: it takes every value that the types allow for a sound one, and ids, cursors and
"forwards or backwards" have rules that no type can say.
"""

import itertools
import json
import os
import re
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import graphql
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis.graphql import nodes
from schemathesis.graphql.checks import GraphQLClientError

SERVER = os.environ["FUZZ_SERVER"]
FIGURES = Path(os.environ["FUZZ_FIGURES"])
PEOPLE = ("first", "second")
PASSWORD = "mainstem-demo"
# What an honest refusal may say; any other code is a failure.
HONEST = {
    "BAD_USER_INPUT",
    "CONFLICT",
    "FORBIDDEN",
    "NOT_FOUND",
    "OPERATION_RESOLUTION_FAILURE",
    "QUERY_TOO_COMPLEX",
    "RATE_LIMITED",
    "UNAUTHENTICATED",
}
# What a document that does not fit may be told besides.
UNFIT = {"GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED"}
# Nobody but the owner may ever see it.
MARKS = {name: f"a private note of {name}" for name in PEOPLE}

SIGN_IN = """mutation ($email: String!, $password: String!) {
  signIn(input: {email: $email, password: $password, transport: BEARER}) {
    ... on SignInSuccess { sessionToken }
  }
}"""
SOME_IDS = """{
  notes(first: 3) { nodes { id } } posts(first: 3) { nodes { id author { id } } }
  files(first: 3) { nodes { id } } viewer { id }
}"""
WRITE_NOTE = """mutation ($body: String!) {
  createNote(input: {body: $body}) { __typename }
}"""
ENDS_SESSIONS = ("Mutation.signOut", "Mutation.endSession")


def ask(query: str, token: str | None, **variables: str) -> Any:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    body = {"query": query, "variables": variables}
    answer = requests.post(f"{SERVER}/graphql", json=body, headers=headers, timeout=30)
    return answer.json()["data"]


def signed_in(name: str) -> str:
    data = ask(SIGN_IN, None, email=f"{name}@example.com", password=PASSWORD)
    return str(data["signIn"]["sessionToken"])


tokens = {name: signed_in(name) for name in PEOPLE}


def some_ids() -> list[str]:
    """Of what is there now, each person's; the newest notes are marked."""
    for name, token in tokens.items():
        ask(WRITE_NOTE, token, body=MARKS[name])
    said = [json.dumps(ask(SOME_IDS, token)) for token in tokens.values()]
    return sorted(set(re.findall(r'"id": "([^"]+)"', " ".join(said))))


known_ids = some_ids()
turns = itertools.cycle(PEOPLE)
codes: Counter[str] = Counter()
statuses: Counter[str] = Counter()
cases: Counter[str] = Counter()
own_marks_seen: Counter[str] = Counter()
asked_by: dict[str, str] = {}


def known_id(number: int) -> str:
    return known_ids[number % len(known_ids)]


schemathesis.graphql.scalar(
    "DateTime",
    st.datetimes().map(lambda when: nodes.String(when.isoformat() + "Z")),
)
# A file cannot come in a JSON body: this must be refused, and no more.
schemathesis.graphql.scalar("Upload", st.text().map(nodes.String))
schemathesis.graphql.scalar(
    "ID",
    st.one_of(st.text(), *[st.integers(0, 10**6).map(known_id)] * 3).map(nodes.String),
)


FEW = {str(number) for number in range(1, 10)}


class Sounder(graphql.Visitor):
    """Lets lists have rows, and asks for notes whole, where their mark shows.

    One direction, no invented cursor, filters now and then.
    """

    WHOLE = graphql.parse("{ nodes { id body } }").definitions[0].selection_set

    def __init__(self, luck: int) -> None:
        super().__init__()
        self._dropped = {"after", "before", "first" if luck % 3 else "last"}
        if luck % 2:
            self._dropped |= {"filter", "scope", "orderBy"}

    def enter_field(self, node: graphql.FieldNode, *_: Any) -> graphql.FieldNode:
        kept = [each for each in node.arguments or () if self._may_stay(each)]
        selected = node.selection_set
        if node.name.value == "notes" and selected is not None:
            both = (*selected.selections, *self.WHOLE.selections)
            selected = graphql.SelectionSetNode(selections=both)
        return graphql.FieldNode(
            alias=node.alias,
            name=node.name,
            arguments=tuple(kept),
            directives=node.directives,
            selection_set=selected,
        )

    def _may_stay(self, argument: graphql.ArgumentNode) -> bool:
        if argument.name.value in self._dropped:
            return False
        value = argument.value
        if argument.name.value in ("first", "last"):
            return isinstance(value, graphql.IntValueNode) and value.value in FEW
        return True


@schemathesis.hook
def before_generate_body(context: Any, strategy: Any) -> Any:
    """Three of four sound, so that they reach the upstreams; told by their text."""
    graph = context.operation.schema.client_schema

    def sounder(tree: Any) -> Any:
        luck = zlib.crc32(graphql.print_ast(tree).encode("utf-8", "replace"))
        if luck % 4 == 0 or graphql.validate(graph, tree):
            return tree  # what is wrong on purpose stays wrong
        return graphql.visit(tree, Sounder(luck // 4))

    return strategy.map(sounder)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """The other one's turn."""
    person = next(turns)
    asked_by[case.id] = person
    case.headers = {**(case.headers or {}), "authorization": f"Bearer {tokens[person]}"}


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Count, and sign in again when the session may have been ended."""
    person = asked_by[case.id]
    cases[person] += 1
    statuses[str(response.status_code)] += 1
    for error in errors_of(response):
        codes[str(error.get("extensions", {}).get("code"))] += 1
    if case.operation.label in ENDS_SESSIONS:
        tokens[person] = signed_in(person)
    if sum(cases.values()) % 100 == 0:
        known_ids[:] = some_ids()
    write_figures()


@schemathesis.check
def keeps_the_promises(context: Any, response: Any, case: Any) -> None:
    """One status, one shape, codes of the table, and nobody else's notes."""
    assert response.status_code == 200, response.status_code
    allowed = HONEST if is_positive(case) else HONEST | UNFIT
    for error in errors_of(response):
        extensions = error["extensions"]
        assert extensions["code"] in allowed, extensions["code"]
        assert extensions["requestId"], "no requestId"
    person = asked_by[case.id]
    for owner, mark in MARKS.items():
        assert owner == person or mark not in response.text, f"seen by {person}: {mark}"
    own_marks_seen[person] += MARKS[person] in response.text


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Drop what a field refused by a rule that the types cannot say."""
    if not isinstance(failure, GraphQLClientError):
        return True
    return not all(error["extensions"]["code"] in HONEST for error in failure.errors)


def errors_of(response: Any) -> list[dict[str, Any]]:
    found = json.loads(response.content)
    return found.get("errors", []) if isinstance(found, dict) else []


def is_positive(case: Any) -> bool:
    mode = getattr(getattr(case, "meta", None), "generation", None)
    return getattr(getattr(mode, "mode", None), "value", "positive") == "positive"


def write_figures() -> None:
    figures: dict[str, Any] = {"cases": cases, "statuses": statuses, "codes": codes}
    figures["own notes seen"] = own_marks_seen
    FIGURES.write_text(json.dumps(figures))
