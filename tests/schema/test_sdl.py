"""The printed SDL: committed as it is, and a superset of the public contract."""

import subprocess
import sys
from pathlib import Path

import pytest
from graphql import (
    build_schema,
    get_introspection_query,
    get_named_type,
    is_enum_type,
    is_input_object_type,
    is_interface_type,
    is_object_type,
    is_union_type,
    print_ast,
    specified_scalar_types,
)

from schema import schema
from tests.resolvers.stubs import make_context, make_world

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

# What is in the contract and not built yet. Must shrink to nothing.
NOT_BUILT_YET: set[str] = set()


def load_contract():
    return build_schema((HERE / "contract.graphql").read_text())


def reachable(contract):
    """The contract's types that what is built leads to."""
    found, waiting = {}, [contract.query_type, contract.mutation_type]
    while waiting:
        kind = get_named_type(waiting.pop())
        if kind.name in found or kind.name in specified_scalar_types:
            continue
        found[kind.name] = kind
        if is_union_type(kind):
            waiting += kind.types
        if is_interface_type(kind):
            waiting += contract.get_possible_types(kind)
        if is_object_type(kind) or is_interface_type(kind):
            waiting += kind.interfaces
            for name, field in kind.fields.items():
                if kind.name != "Mutation" or name not in NOT_BUILT_YET:
                    waiting += [field.type, *(arg.type for arg in field.args.values())]
        if is_input_object_type(kind):
            waiting += [field.type for field in kind.fields.values()]
    return found


def default_of(argument):
    node = argument.ast_node
    return node and node.default_value and print_ast(node.default_value)


def describe(contract_schema, names):
    """Every promise as one line: what it is about, and what is promised."""
    promises = {}
    for name in names:
        kind = contract_schema.get_type(name)
        if kind is None:
            continue
        promises[name] = type(kind).__name__
        if is_union_type(kind):
            promises |= {f"{name} = {member}": "" for member in kind.types}
        if is_enum_type(kind):
            promises |= {f"{name}.{value}": "" for value in kind.values}
        if is_object_type(kind) or is_interface_type(kind):
            promises |= {f"{name} implements {one}": "" for one in kind.interfaces}
            for field_name, field in kind.fields.items():
                promises[f"{name}.{field_name}"] = str(field.type)
                promises |= {
                    f"{name}.{field_name}({arg_name})": (
                        f"{arg.type} = {default_of(arg)}"
                    )
                    for arg_name, arg in field.args.items()
                }
        if is_input_object_type(kind):
            promises |= {
                f"{name}.{field_name}": f"{field.type} = {default_of(field)}"
                for field_name, field in kind.fields.items()
            }
    return promises


def test_keeps_every_promise_of_the_contract():
    contract = load_contract()
    names = reachable(contract)
    promised = describe(contract, names)
    kept = describe(build_schema(schema.as_str()), names)
    for field in NOT_BUILT_YET:
        promised = {
            line: promise
            for line, promise in promised.items()
            if not line.startswith(f"Mutation.{field}")
        }
    broken = {
        line: (promise, kept.get(line, "missing"))
        for line, promise in promised.items()
        if kept.get(line) != promise
    }
    assert broken == {}


def test_adds_no_argument_that_a_client_of_the_contract_would_have_to_give():
    contract = load_contract()
    ours = schema._schema
    demanded = [
        f"{name}.{field_name}({arg_name})"
        for name, kind in reachable(contract).items()
        if is_object_type(kind)
        for field_name in kind.fields
        if field_name not in NOT_BUILT_YET
        for arg_name, arg in ours.get_type(name).fields[field_name].args.items()
        if arg_name not in kind.fields[field_name].args and str(arg.type).endswith("!")
    ]
    assert demanded == []


def test_lists_as_not_built_only_what_is_not_built():
    built = set(schema._schema.mutation_type.fields)
    assert built & NOT_BUILT_YET == set()
    assert built | NOT_BUILT_YET >= set(load_contract().mutation_type.fields)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("type Query { a: Int }", "type Query { a: Int! }"),
        ("type Query { a: Int }", "type Query { a: Int b: Int }"),
        ("type Query { a(b: Int = 1): Int }", "type Query { a(b: Int = 2): Int }"),
        ("type Query { a: E } enum E { X }", "type Query { a: E } enum E { X Y }"),
    ],
)
def test_the_comparison_sees_a_broken_promise(ours, theirs):
    names = ["Query", "E"]
    promised = describe(build_schema(theirs), names).items()
    kept = describe(build_schema(ours), names).items()
    assert not promised <= kept


def test_committed_sdl_is_the_printed_one():
    committed = (ROOT / "schema" / "schema.graphql").read_text()
    assert committed == f"{schema.as_str()}\n"


def test_python_m_schema_prints_the_sdl():
    printed = subprocess.run(
        [sys.executable, "-m", "schema"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout == f"{schema.as_str()}\n"


def test_everything_is_described():
    kinds = [
        kind
        for name, kind in schema._schema.type_map.items()
        if not name.startswith("__") and name not in specified_scalar_types
    ]
    silent = [kind.name for kind in kinds if not kind.description]
    for kind in kinds:
        for name, field in getattr(kind, "fields", {}).items():
            if not field.description:
                silent.append(f"{kind.name}.{name}")
            for arg_name, arg in getattr(field, "args", {}).items():
                # What `id` and `ids` are needs no words.
                if not arg.description and arg_name not in ("id", "ids"):
                    silent.append(f"{kind.name}.{name}({arg_name})")
        silent += [
            f"{kind.name}.{name}"
            for name, value in getattr(kind, "values", {}).items()
            if not value.description
        ]
    assert silent == []


async def test_graphiql_may_introspect(ask):
    answer = await ask(
        None,
        get_introspection_query(
            specified_by_url=True,
            directive_is_repeatable=True,
            schema_description=True,
            input_value_deprecation=True,
        ),
        context=make_context(make_world(), signed_in=False),
    )
    assert answer.errors == []
    assert answer.data["__schema"]["queryType"]["name"] == "Query"
