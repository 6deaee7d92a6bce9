"""signUp, signIn and signOut: typed results, and what the session service is told."""

import pytest

from clients.errors import ConflictError, UpstreamUnavailableError
from resolvers.ids import global_id
from tests.resolvers.stubs import ME, make_context, make_world, user_id

SIGN_IN = """mutation ($input: SignInInput!) { signIn(input: $input) {
  __typename
  ... on SignInSuccess { sessionToken viewer { email } }
  ... on InvalidCredentials { message }
  ... on InvalidInput { field message }
} }"""

SIGN_UP = """mutation ($input: SignUpInput!) { signUp(input: $input) {
  __typename
  ... on SignUpSuccess { user { id } }
  ... on InvalidInput { field }
  ... on Conflict { message }
} }"""

GOOD = {"email": "first@example.com", "password": "secret"}


async def test_sign_in_opens_the_session_of_the_request(ask):
    world = make_world()
    context = make_context(world, signed_in=False)
    answer = await ask(world, SIGN_IN, context=context, input=GOOD)
    assert answer.data["signIn"] == {
        "__typename": "SignInSuccess",
        "sessionToken": None,
        "viewer": {"email": "first@example.com"},
    }
    assert context.session.user_id == ME
    assert world.calls[0] == (
        "sign_in",
        {
            "email": "first@example.com",
            "user_agent": "a browser",
            "client_address": "192.0.2.1",
            "transport": "cookie",
        },
    )


async def test_bearer_returns_the_sealed_session(ask):
    world = make_world()
    context = make_context(world, signed_in=False)
    answer = await ask(
        world, SIGN_IN, context=context, input={**GOOD, "transport": "BEARER"}
    )
    assert answer.data["signIn"]["sessionToken"] == f"sealed for {ME}"
    assert world.arguments_of("sign_in")[0]["transport"] == "bearer"


async def test_wrong_password_is_a_typed_result_without_an_error(ask):
    world = make_world()
    answer = await ask(world, SIGN_IN, input={**GOOD, "password": "wrong"})
    assert answer.errors == []
    assert answer.data["signIn"]["__typename"] == "InvalidCredentials"


@pytest.mark.parametrize("mutation", [SIGN_IN, SIGN_UP])
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "no address"}, "email"),
        ({"email": ""}, "email"),
        ({"email": "a@" + "b" * 300}, "email"),
        ({"email": "a\0@b.example"}, "email"),
        ({"password": ""}, "password"),
        ({"password": "x" * 1025}, "password"),
        ({"password": "\ud800"}, "password"),
    ],
)
async def test_bad_input_is_a_typed_result_before_any_call(
    ask, mutation, change, field
):
    world = make_world()
    answer = await ask(world, mutation, input={**GOOD, **change})
    assert answer.errors == []
    [result] = answer.data.values()
    assert (result["__typename"], result["field"]) == ("InvalidInput", field)
    assert world.calls == []


async def test_sign_up_makes_an_account_and_signs_nobody_in(ask):
    world = make_world()
    context = make_context(world, signed_in=False)
    answer = await ask(world, SIGN_UP, context=context, input=GOOD)
    assert answer.data["signUp"] == {
        "__typename": "SignUpSuccess",
        "user": {"id": global_id("User", user_id(9))},
    }
    assert not context.session.is_open


async def test_a_taken_address_is_a_conflict(ask):
    world = make_world()
    world.failures["sign_up"] = ConflictError("USER_EXISTS", field="email")
    answer = await ask(world, SIGN_UP, input=GOOD)
    assert answer.errors == []
    assert answer.data["signUp"] == {
        "__typename": "Conflict",
        "message": "Something with this email exists already.",
    }


async def test_an_outage_at_sign_in_is_an_error_and_no_typed_result(ask):
    world = make_world()
    world.failures["sign_in"] = UpstreamUnavailableError("down", service="conduit")
    answer = await ask(world, SIGN_IN, input=GOOD)
    assert answer.data is None
    assert answer.codes == ["UPSTREAM_UNAVAILABLE"]


@pytest.mark.parametrize(
    ("arguments", "everywhere"),
    [("", False), ("(everywhere: true)", True), ("(everywhere: null)", False)],
)
async def test_sign_out_succeeds_signed_in_or_not(ask, arguments, everywhere):
    world = make_world()
    for signed_in in (True, False):
        context = make_context(world, signed_in=signed_in)
        answer = await ask(
            world, f"mutation {{ signOut{arguments} {{ ok }} }}", context=context
        )
        assert answer.data == {"signOut": {"ok": True}}
        assert not context.session.is_open
    assert world.arguments_of("sign_out") == [{"everywhere": everywhere}] * 2


@pytest.mark.parametrize(
    ("mutation", "variables"),
    [
        ("mutation { signOut { ok } }", {}),
        (
            "mutation ($input: SignInInput!) { signIn(input: $input) { __typename } }",
            {"input": GOOD},
        ),
    ],
)
async def test_what_was_loaded_before_is_forgotten_with_the_session(
    ask, mutation, variables
):
    world = make_world()
    context = make_context(world)
    await context.loaders.viewers.load(ME)
    await ask(world, mutation, context=context, **variables)
    world.calls.clear()
    await context.loaders.viewers.load(ME)
    assert world.called_names == ["viewer"]
