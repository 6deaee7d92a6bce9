"""A Conduit without declarations, and the provisioning command over sockets to it.

`tests/provision/conftest.py` makes it; test files import their types from here.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from serving import NO_TLS
from starlette.types import ASGIApp, Receive, Scope, Send

from harness import ROOT
from provision.__main__ import main
from sandbox.conduit import (
    ConduitState,
    Declarations,
    create_admin_app,
)
from sandbox.faults import Fault, FaultyUpstream

INIT: Any = json.loads((ROOT / "conduit-init.json").read_text())


@dataclass(slots=True)
class Run:
    """What one run of the command left behind."""

    code: int
    out: str
    err: str
    writes: list[tuple[str, str]]


class Swappable:
    """An application in whose place another can be put while it is served."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@dataclass(slots=True)
class Stand:
    """A running stand-in: its state, its two addresses, what reached its Admin API."""

    state: ConduitState
    app: Swappable
    faulty: FaultyUpstream
    admin: str
    client: str
    capsys: pytest.CaptureFixture[str]

    @property
    def environment(self) -> dict[str, str]:
        settings = self.state.settings
        return {
            "CONDUIT_ADMIN_URL": self.admin,
            "CONDUIT_MASTER_KEY": settings.admin_master_key,
            "CONDUIT_ADMIN_USER": settings.admin_user,
            "CONDUIT_ADMIN_PASSWORD": settings.admin_password,
        }

    async def provision(self, *arguments: str, **environment: str) -> Run:
        """Run the command here, against the running servers."""
        self.faulty.requests.clear()
        env = {**self.environment, **environment}
        self.capsys.readouterr()
        code = await asyncio.to_thread(main, ["--wait", "5", *arguments], env)
        out, err = self.capsys.readouterr()
        for secret in ("CONDUIT_MASTER_KEY", "CONDUIT_ADMIN_PASSWORD"):
            assert env[secret] not in out + err
            assert env[secret] not in str(list(self.faulty.requests))
        assert not [each for each in self.faulty.requests if each.method == "DELETE"]
        return Run(code, out, err, self.writes())

    def writes(self) -> list[tuple[str, str]]:
        """What could have changed something, in order: (method, path)."""
        return [
            (each.method, each.path)
            for each in self.faulty.requests
            if each.method != "GET" and each.path != "/login"
        ]

    def fail(self, path: str, **fault: Any) -> None:
        """Make the Admin API fail; fields as in sandbox/faults.py."""
        self.faulty.faults.add(Fault(path, **fault))

    def declare(self, schemas: Sequence[Any], endpoints: Sequence[Any] = ()) -> None:
        """What an administrator has set up before the Admin API was first called."""
        value = {"schemas": schemas, "customEndpoints": endpoints}
        self.state.declare(Declarations.from_json(value))
        self.restart()

    def restart(self) -> None:
        """Let the Admin API take over what was put into the state."""
        self.app.app = create_admin_app(self.state)

    async def listed(self, what: str, name: str) -> Any:
        """One schema or custom endpoint as the Admin API lists it."""
        master_key = {"masterkey": self.state.settings.admin_master_key}
        settings = self.state.settings
        who = {"username": settings.admin_user, "password": settings.admin_password}
        async with httpx.AsyncClient(
            base_url=self.admin, headers=master_key, verify=NO_TLS
        ) as http:
            token = (await http.post("/login", json=who)).json()["token"]
            http.headers["Authorization"] = f"Bearer {token}"
            answer = await http.get(f"/database/{what}", params={"limit": 1000})
        return next(each for each in answer.json()[what] if each["name"] == name)
