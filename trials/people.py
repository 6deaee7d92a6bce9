"""The people of a trial: they sign up, in, and in again when their session ends."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Final

import httpx
import orjson

from .client import Client, Json, Person
from .model import Model

NAMES: Final = ("ada", "ben", "cleo", "dan", "eva", "finn")
PASSWORD: Final = "a trial's own"  # noqa: S105 - for accounts of this trial only
SIGN_IN_TRIES: Final = 60

SIGN_UP: Final = """mutation ($input: SignUpInput!) {
  signUp(input: $input) { __typename } }"""
SIGN_IN: Final = """mutation ($input: SignInInput!) { signIn(input: $input) {
  __typename ... on SignInSuccess { sessionToken viewer { databaseId } } } }"""
CHANGES: Final = "subscription { noteChanged { kind id note { body } } }"


class CrowdError(Exception):
    """Somebody could not sign in: there is nothing to try."""


@dataclass(slots=True)
class Crowd:
    """`sessions_lost` counts the sign-ins that had to be repeated."""

    client: Client
    model: Model
    people: list[Person] = field(default_factory=list)
    sessions_lost: int = 0
    events: int = 0
    _signing_in: set[str] = field(default_factory=set)

    async def arrive(self) -> None:
        """Raises: CrowdError."""
        for name in NAMES:
            person = Person(name)
            account = {"email": person.email, "password": PASSWORD}
            reply = await self.client.graphql(None, SIGN_UP, input=account)
            if not reply.data:
                raise CrowdError(f"{name} could not sign up: {reply.body[:300]!r}")
            await self.sign_in(person)
            self.people.append(person)

    async def sign_in(self, person: Person) -> None:
        """Until it succeeds, as far as it does within a minute. Raises: CrowdError."""
        account = {"email": person.email, "password": PASSWORD, "transport": "BEARER"}
        for _ in range(SIGN_IN_TRIES):
            reply = await self.client.graphql(None, SIGN_IN, input=account)
            result: Json = reply.data.get("signIn") or {}
            if result.get("__typename") == "SignInSuccess":
                person.headers = {"authorization": f"Bearer {result['sessionToken']}"}
                person.user_id = result["viewer"]["databaseId"]
                self.model.user_ids[person.name] = person.user_id
                return
            await asyncio.sleep(1)
        raise CrowdError(f"{person.name} could not sign in: {reply.body[:300]!r}")

    async def sign_in_again(self, person: Person) -> None:
        """Once, however many operations found the session ended."""
        if person.name in self._signing_in:
            return
        self._signing_in.add(person.name)
        self.sessions_lost += 1
        try:
            await self.sign_in(person)
        finally:
            self._signing_in.discard(person.name)

    async def listen(self, person: Person) -> None:
        """Follow one's own notes for ever; connect anew whenever the stream ends."""
        while True:
            with contextlib.suppress(httpx.HTTPError):
                async with self.client.stream(person, CHANGES) as response:
                    async for line in response.aiter_lines():
                        if line.startswith("data:") and line[5:].strip():
                            self._hear(person, orjson.loads(line[5:]))
            await asyncio.sleep(0.5)

    def _hear(self, person: Person, payload: Json) -> None:
        change = (payload.get("data") or {}).get("noteChanged") or {}
        note = change.get("note")
        if note is not None:
            self.events += 1
            self.model.see_note(person.name, note["body"])
