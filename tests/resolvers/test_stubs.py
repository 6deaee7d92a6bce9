"""The stubs have the names that the real clients have: else they prove nothing."""

import inspect

import pytest

from clients.conduit.client import ConduitClient
from clients.conduit.posts import ConduitPosts
from clients.conduit.storage import ConduitStorage
from clients.conduit.users import ConduitUsers
from clients.flux.notes import FluxNotes
from session.accounts import SessionService
from tests.resolvers import stubs

PAIRS = [
    (stubs.StubNotes, FluxNotes),
    (stubs.StubPosts, ConduitPosts),
    (stubs.StubUsers, ConduitUsers),
    (stubs.StubStorage, ConduitStorage),
    (stubs.StubSessions, SessionService),
    (stubs.StubConduit, ConduitClient),
]


def parameters(function):
    return inspect.signature(function).parameters


@pytest.mark.parametrize(("stub", "real"), PAIRS)
def test_a_stub_takes_what_the_real_one_takes(stub, real):
    methods = [
        (name, method)
        for name, method in vars(stub).items()
        if inspect.isfunction(method) and not name.startswith("_")
    ]
    assert methods
    for name, method in methods:
        theirs = parameters(getattr(real, name))
        ours = parameters(method)
        assert ours.keys() <= theirs.keys(), name
        missing = [
            key
            for key, parameter in theirs.items()
            if key not in ours and parameter.default is inspect.Parameter.empty
        ]
        assert missing == [], name
