"""One person on a phone, a laptop and in a Next.js application, in any order.

The phone holds a bearer value, the laptop a cookie; the application is the guide's with
the real npm packages, with its own cookie, over the same vault. Conduit keeps one
session per person, so each sign-in and each renewal ends the tokens of the others.
"""

import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from processes_harness import (
    Device,
    expire_tokens,
    records,
    sign_in,
)
from serving import NO_TLS

from harness import PASSWORD, Sandbox

pytestmark = pytest.mark.node
HERE = "http://127.0.0.1:8000"
ACCOUNT = {"email": "first@example.com", "password": PASSWORD}
VIEWER = "{ viewer { email } }"
FIRST = {"viewer": {"email": "first@example.com"}}
NOBODY = {"viewer": None}
STEPS = 20
NAMES = ("phone", "laptop", "web")
ACTIONS = ("sign in", "use", "renew here", "renew there", "sign out")


class Person:
    """Three devices, which of them are signed in, and every token ever seen."""

    def __init__(
        self, sandbox: Sandbox, here: httpx.AsyncClient, there: httpx.AsyncClient
    ) -> None:
        self.sandbox = sandbox
        self.here = here
        self.there = there
        self.signed_in: dict[str, Device] = {}
        self.signed_out: list[Device] = []
        self.access_tokens: set[str] = set()
        self.refresh_tokens: set[str] = set()

    async def sign_in(self, name: str) -> None:
        """A device that is signed in already gets a session more, and drops one."""
        if name in self.signed_in:
            await self.sign_out(name)
        if name == "web":
            self.signed_in[name] = await self._sign_in_there()
        else:
            self.signed_in[name] = await sign_in(
                self.here, HERE, bearer=name == "phone"
            )

    async def _sign_in_there(self) -> Device:
        """And its first page asks the graph, by which the session is known here."""
        self.there.cookies.clear()
        response = await self.there.post("/sign-in", json=ACCOUNT)
        [header] = response.headers.get_list("set-cookie")
        device = Device(self.here, {"cookie": header.partition(";")[0]})
        assert await device.data(HERE, VIEWER) == FIRST
        return device

    async def renew_here(self, name: str) -> None:
        expire_tokens(self.sandbox)
        await self.use(name)

    async def renew_there(self) -> None:
        """By the guide's code: no lock, and only into its own record."""
        if "web" in self.signed_in:
            expire_tokens(self.sandbox)
            assert await self._me_there() == ACCOUNT["email"]

    async def use(self, name: str) -> None:
        assert await self.signed_in[name].data(HERE, VIEWER) == FIRST, name
        if name == "web":
            assert await self._me_there() == ACCOUNT["email"]

    async def _me_there(self) -> str | None:
        self.there.cookies.clear()
        headers = self.signed_in["web"].headers
        user = (await self.there.get("/me", headers=headers)).json()["user"]
        return user and str(user["email"])

    async def sign_out(self, name: str) -> None:
        device = self.signed_in.pop(name)
        await device.data(HERE, "mutation { signOut { ok } }")
        self.signed_out.append(device)

    async def check(self) -> None:
        """All that are signed in answer, and nothing else does."""
        for name in NAMES:
            if name in self.signed_in:
                await self.use(name)
        for device in self.signed_out:
            assert await device.data(HERE, VIEWER) == NOBODY
        for record in records(self.sandbox).values():
            self.access_tokens.add(record["accessToken"])
            self.refresh_tokens.add(record["refreshToken"])

    def live_tokens(self) -> list[str]:
        """What the upstream still honours of all that was ever in the vault."""
        http, conduit = self.sandbox.http, self.sandbox.conduit

        def works(method: str, path: str, token: str) -> bool:
            headers = {"authorization": f"Bearer {token}"}
            answer = http.request(method, f"{conduit}{path}", headers=headers)
            return answer.is_success

        return [
            *(t for t in self.access_tokens if works("GET", "/authentication/user", t)),
            # Last, for a renewal that works would end the other tokens.
            *(
                t
                for t in self.refresh_tokens
                if works("POST", "/authentication/renew", t)
            ),
        ]


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_keeps_the_others_signed_in_and_the_last_ends_all(
    app: Any, sandbox: Sandbox, start_guide_app: Callable[..., str], seed: int
) -> None:
    """Tried with a renewal that knows its own record only: the laptop is signed out.

    Tried with a sign-out that always ends the upstream's session: the same. Tried with
    one that never does: the upstream honours two tokens at the end.
    """
    there_url = start_guide_app(8 + seed % 2)
    transport = httpx.ASGITransport(app)
    async with (
        httpx.AsyncClient(transport=transport) as here,
        httpx.AsyncClient(base_url=there_url, verify=NO_TLS) as there,
    ):
        person = Person(sandbox, here, there)
        order = random.Random(seed)  # noqa: S311 - no secret
        for _ in range(STEPS):
            await step(person, order.choice(ACTIONS), order.choice(NAMES))
            await person.check()
        for name in order.sample(sorted(person.signed_in), len(person.signed_in)):
            await person.sign_out(name)
            await person.check()
        assert len(person.refresh_tokens) > 3
        assert person.live_tokens() == []
        assert records(sandbox) == {}


async def step(person: Person, action: str, name: str) -> None:
    if action == "sign in" or name not in person.signed_in:
        await person.sign_in(name)
    elif action == "renew here":
        await person.renew_here(name)
    elif action == "renew there":
        await person.renew_there()
    elif action == "sign out":
        await person.sign_out(name)
    else:
        await person.use(name)
