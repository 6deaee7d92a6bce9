"""A client's own retry of a write, made safe by its idempotency key.

Used by writes whose id the upstream makes. (Where we make the id, it is derived from
the key, and the upstream itself refuses the second row: see `notes.py`.)

One claim per person, operation and key stands in Redis for a day::

    pending <fingerprint of the input> <this attempt> <mark>     from before the write
    done    <fingerprint of the input> <id of what was made> <receipt>   from after it

Whoever finds a claim does not write. `done`: the row is read and returned. `pending`:
another attempt is under way, or ended without knowing its outcome; it is waited for,
then its row is looked for, and only when the upstream must have given up is the write
taken over. A write that surely failed gives its claim back. As long as an attempt
lasts it renews its claim, so a claim's age is the time since that attempt has ended.
"""

import asyncio
import contextlib
import hashlib
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable
from typing import ClassVar, Final, Generic, Protocol, TypeVar

from clients.errors import (
    InvalidInputError,
    NotFoundError,
    UpstreamError,
    UpstreamUnavailableError,
    VaultUnavailableError,
)
from session.claims import Claim, ClaimStore

from . import inputs
from .outcomes import to_the_end

T = TypeVar("T")

KEY_LIFE_S: Final = 86_400
MAX_KEY_LENGTH: Final = 200
# For an attempt that is under way on another connection, as a double click makes it.
WAIT_S: Final = 3.0
LOOK_EVERY_S: Final = 0.1
# By then an attempt has sent its write or never will (a renewal and a call, 10 s each),
# and what Conduit had received stands before our look in its database's one queue.
SETTLED_S: Final = 30.0
# How often an attempt that lasts says that it does; well within `SETTLED_S`.
SIGN_OF_LIFE_S: Final = 10.0

log = logging.getLogger("mainstem.retries")


class Creation(Protocol[T]):
    """A write in the parts that a retry needs."""

    # Whether the row of an attempt may be there while that attempt is still at work
    # and may yet take it back: then it is looked for after the attempt's end only.
    takes_back: ClassVar[bool] = False

    @property
    def content(self) -> str:
        """What makes it this write and no other, as far as known before it."""

    @property
    def receipt(self) -> str:
        """What is known of the input after the write only: one word."""
        return "-"

    async def confirm(self, receipt: str) -> None:
        """Check the rest of this attempt's input against that of the first.

        Raises: InvalidInputError when it is another.
        """
        if receipt != self.receipt:
            raise other_input()

    async def mark(self) -> str:
        """Where the list of such rows ends now: one word."""

    async def write(self, mark: str) -> T:
        """Write once; an open outcome is looked up, or raised as unknown."""

    async def find(self, mark: str) -> T | None:
        """What was written since the mark, if that can be told.

        What an attempt that has ended left half-made is taken away.
        """

    async def read(self, id: str) -> T:
        """The row. Raises: NotFoundError."""

    def id_of(self, row: T) -> str:
        """The upstream's id of a row."""

    def surely_failed(self, failure: BaseException) -> bool:
        """Whether nothing is left of a write that ended so."""
        return isinstance(failure, UpstreamError) and not failure.outcome_unknown


def checked_key(key: str | None) -> str | None:
    """An idempotency key as a client may choose it. Raises: InvalidInputError."""
    if key is None:
        return None
    if not key:
        raise _refused("An idempotency key is never empty.")
    return inputs.storable(key, field="idempotencyKey", longest=MAX_KEY_LENGTH)


class KeyedWrite(Generic[T]):
    """One attempt at a write that may have been attempted before."""

    def __init__(
        self,
        claims: ClaimStore,
        work: Creation[T],
        *,
        operation: str,
        viewer_id: str,
        key: str,
    ) -> None:
        self._claims = claims
        self._work = work
        self._operation = operation
        self._name = _digest(f"{operation} {viewer_id} {key}")
        self._fingerprint = _digest(work.content)

    async def run(self) -> T:
        """Write, unless a write with this key was made. Two vault calls more.

        Raises: what the work raises; InvalidInputError when the key was used for
        another input, or its row is gone; UpstreamUnavailableError with the outcome
        unknown while an earlier attempt is undecided; VaultUnavailableError, before
        any write.
        """
        mark = await self._work.mark()
        mine = f"pending {self._fingerprint} {secrets.token_hex(8)} {mark}"
        claim = await self._decided(mine)
        if claim is None:
            return await self._write(mine, mark)
        state, fingerprint, *rest = claim.value.split(" ")
        if fingerprint != self._fingerprint:
            raise other_input()
        if state == "done":
            return await self._read(*rest)
        settled = claim.age_s >= SETTLED_S
        if settled or not self._work.takes_back:
            row = await self._find(rest[1])
            if row is not None:
                await self._settle(claim.value, row)
                return row
        if not settled or not await self._claims.replace_claim(
            self._name, claim.value, mine, KEY_LIFE_S
        ):
            raise self._undecided()
        return await self._write(mine, mark)

    async def _decided(self, mine: str) -> Claim | None:
        """None when the claim is ours; else another's, given time to be decided."""
        ends_at = asyncio.get_running_loop().time() + WAIT_S
        while True:
            claim = await self._claims.claim(self._name, mine, KEY_LIFE_S)
            if claim is None or not claim.value.startswith("pending "):
                return claim
            now = asyncio.get_running_loop().time()
            if claim.age_s > WAIT_S or now >= ends_at:
                return claim
            await asyncio.sleep(LOOK_EVERY_S)

    async def _write(self, mine: str, mark: str) -> T:
        try:
            async with self._showing_life(mine):
                row = await self._work.write(mark)
        except BaseException as failure:
            if self._work.surely_failed(failure):
                dropping = self._claims.drop_claim(self._name, mine)
                await to_the_end(self._noting(dropping))
            raise
        await self._settle(mine, row)
        return row

    @contextlib.asynccontextmanager
    async def _showing_life(self, mine: str) -> AsyncIterator[None]:
        ended = asyncio.Event()
        signs = asyncio.create_task(self._show_life(mine, ended))
        try:
            yield
        finally:
            ended.set()
            await to_the_end(signs)

    async def _show_life(self, mine: str, ended: asyncio.Event) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SIGN_OF_LIFE_S):
                    await ended.wait()
                    return
            await self._noting(
                self._claims.replace_claim(self._name, mine, mine, KEY_LIFE_S)
            )

    async def _settle(self, pending: str, row: T) -> None:
        """Note what was made. Raises: UpstreamUnavailableError (claim taken over)."""
        id = self._work.id_of(row)
        done = f"done {self._fingerprint} {id} {self._work.receipt}"
        if not await self._noting(self._noted(pending, done)):
            raise self._undecided()

    async def _noted(self, pending: str, done: str) -> bool:
        """Whether the claim says `done` now; not when it is another attempt's."""
        if await self._claims.replace_claim(self._name, pending, done, KEY_LIFE_S):
            return True
        found = await self._claims.claim(self._name, done, KEY_LIFE_S)
        return found is None or found.value == done

    async def _noting(self, step: Awaitable[object]) -> bool:
        """What became of the write is known; that it cannot be noted changes nothing.

        The claim stays pending, and a retry looks for the row. False when the step says
        so.
        """
        try:
            return await step is not False
        except VaultUnavailableError:
            log.warning("the outcome of %s could not be noted", self._operation)
            return True

    async def _read(self, id: str, receipt: str = "-") -> T:
        try:
            row = await self._work.read(id)
        except NotFoundError:
            raise made_is_gone() from None
        await self._work.confirm(receipt)
        return row

    async def _find(self, mark: str) -> T | None:
        try:
            return await self._work.find(mark)
        except InvalidInputError:  # what is there was made of another input
            raise
        except UpstreamError as failure:
            failure.outcome_unknown = True
            raise

    def _undecided(self) -> UpstreamUnavailableError:
        return UpstreamUnavailableError(
            f"{self._operation}: an earlier attempt with this key is undecided",
            outcome_unknown=True,
            service="conduit",
            operation=self._operation,
        )


def other_input() -> UpstreamError:
    """For a key that comes with something else than it came with first."""
    return _refused("This key was used before, with another input.")


def made_is_gone() -> UpstreamError:
    """For a key whose row has been deleted since."""
    return _refused("What was made with this key is gone.")


def _refused(message: str) -> UpstreamError:
    return inputs.refused("idempotencyKey", message)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
