"""Which documents may run, and by which names: trusted ones, and Apollo's APQ.

One object for each process, made by `resources.py`; every door (POST, GET, event
stream, WebSocket) hands its request through `resolve` before the schema sees it.

A request names a document by `documentId`, or by Apollo's `extensions.persistedQuery`;
what the manifests do not hold may stand in the bounded store of automatic persisted
queries (APQ), which clients fill themselves and which is off when only trusted
documents may run. Manifests are read again when they change: the new set takes the
old one's place in one step, and one that cannot be read changes nothing.
"""

import asyncio
import hashlib
import hmac
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from msgspec.structs import replace

from .graphql_request import GraphQLRequest
from .manifests import ManifestError, read_manifests
from .refusals import RefusalCode, RefusalError, bad_request

TrustMode = Literal["off", "log", "prefer", "only"]

# Longer ones run but are not kept: the store's memory is then bounded too.
LONGEST_KEPT: Final = 16_384
LONGEST_ID: Final = 256

log = logging.getLogger("mainstem.documents")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustSettings:
    """`kept` documents of APQ; 0 turns it off."""

    mode: TrustMode
    manifests: tuple[Path, ...]
    poll_s: float
    kept: int


class Documents:
    """The manifests and the store. `load` is called once before the first request."""

    def __init__(self, settings: TrustSettings) -> None:
        self._settings = settings
        self._trusted: Mapping[str, str] = {}
        self._texts: frozenset[str] = frozenset()
        self._seen: tuple[object, ...] = ()
        self._kept: OrderedDict[str, str] = OrderedDict()

    def load(self) -> None:
        """Read all manifests. Raises: ManifestError, and nothing has changed."""
        seen = self._stamp()
        trusted = read_manifests(self._settings.manifests)
        self._trusted, self._texts = trusted, frozenset(trusted.values())
        self._seen = seen

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Read changed manifests again, for as long as the context is open."""
        if not self._settings.manifests:
            yield
            return
        self.load()
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    def resolve(self, request: GraphQLRequest) -> GraphQLRequest:
        """The request with its document's text, if that may run.

        Raises: RefusalError.
        """
        extensions = request.extensions
        digest = _persisted_digest(extensions) if extensions else None
        name = request.document_id or digest
        if name is not None and name in self._trusted:
            return replace(request, query=self._trusted[name], trusted=True)
        if request.query in self._texts:
            return replace(request, trusted=True)
        if self._settings.mode == "only":
            raise _not_trusted()
        if request.query:
            if digest is not None:
                self._remember(digest, request.query)
        else:
            request = replace(request, query=self._recalled(digest))
        if self._settings.mode != "off":
            log.info("a document that no manifest holds: %s", _fingerprint(request))
        return request

    def _remember(self, digest: str, text: str) -> None:
        if not self._settings.kept:
            return
        actual = hashlib.sha256(text.encode()).hexdigest()
        if not hmac.compare_digest(actual, digest):
            raise bad_request("sha256Hash is not the hash of the query.")
        if len(text) <= LONGEST_KEPT:
            self._kept[digest] = text
            self._kept.move_to_end(digest)
            while len(self._kept) > self._settings.kept:
                self._kept.popitem(last=False)

    def _recalled(self, digest: str | None) -> str:
        text = self._kept.get(digest or "")
        if digest is None or text is None:
            raise _not_found()
        self._kept.move_to_end(digest)
        return text

    def _stamp(self) -> tuple[object, ...]:
        """What changes when a manifest does, also one that was moved into place."""
        stats = [path.stat() for path in self._settings.manifests]
        return tuple((each.st_ino, each.st_size, each.st_mtime_ns) for each in stats)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._settings.poll_s)
            try:
                if await asyncio.to_thread(self._stamp) != self._seen:
                    await asyncio.to_thread(self.load)
                    log.info("manifests read again: %d documents", len(self._trusted))
            except (ManifestError, OSError) as error:
                log.error("the old manifests stay in force: %s", error)


def _persisted_digest(extensions: Mapping[str, object]) -> str | None:
    """The hash in Apollo's `extensions.persistedQuery`, in lower case."""
    persisted = extensions.get("persistedQuery")
    if persisted is None:
        return None
    digest = persisted.get("sha256Hash") if isinstance(persisted, dict) else None
    if not isinstance(digest, str) or len(digest) > LONGEST_ID or not digest.isascii():
        raise bad_request("extensions.persistedQuery.sha256Hash must be a hash.")
    return digest.lower()


def _fingerprint(request: GraphQLRequest) -> str:
    return hashlib.sha256(request.query.encode()).hexdigest()


def _not_found() -> RefusalError:
    # Message and status are those that Apollo's clients look for, to send the text.
    return RefusalError(
        200, RefusalCode.PERSISTED_QUERY_NOT_FOUND, "PersistedQueryNotFound"
    )


def _not_trusted() -> RefusalError:
    return RefusalError(
        403,
        RefusalCode.DOCUMENT_NOT_TRUSTED,
        "Only documents of this server's manifests run here.",
    )
