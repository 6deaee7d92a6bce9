"""`RequestContext`: all that a resolver can reach, made anew for every request.

Made by `server/context.py`; handed to every field by `schema/`. Making one costs no
upstream call and no vault read.
"""

from collections.abc import Awaitable, Callable

import msgspec

from clients.conduit.client import ConduitClient
from clients.errors import NotAuthenticatedError
from clients.flux.client import FluxClient
from clients.http import CallScope
from session.accounts import SessionService
from session.claims import ClaimStore
from session.session import Session

from .change_feed import ChangeFeed
from .loaders import Loaders
from .selection import NOTHING_SELECTED
from .selection import Selection as Selection
from .shared_batches import SharedBatches
from .under_way import UnderWay
from .upload_rules import UploadRules


class Shared(msgspec.Struct, kw_only=True, frozen=True):
    """What all requests of a process share; made once, by `server/resources.py`."""

    sessions: SessionService
    claims: ClaimStore
    changes: ChangeFeed = msgspec.field(default_factory=ChangeFeed)
    # Without the process's own a request shares no batches.
    batches: SharedBatches = msgspec.field(default_factory=SharedBatches)
    uploads: UploadRules = msgspec.field(default_factory=UploadRules)
    uploads_under_way: UnderWay = msgspec.field(default_factory=UnderWay)
    preview_path: str = "/preview"
    max_page_size: int = 100
    # Larger pages are told in the log (LIMIT_PAGE_SIZE=measure:…).
    measured_page_size: int | None = None
    # False leaves it to the upstream who may change what (CONDUIT_OWNERSHIP=upstream).
    checks_ownership: bool = True
    # Whether Conduit guards files for each person (CONDUIT_STORAGE_AUTHORIZATION=on):
    # then nothing of a file may come but by storage's own routes.
    storage_authorization: bool = False


class RequestContext(msgspec.Struct, kw_only=True, eq=False):
    """Who asks, through which clients, within which deadline.

    `selection` is set by `schema/documents.py` before the first field is resolved.
    """

    session: Session
    shared: Shared
    flux: FluxClient
    conduit: ConduitClient
    scope: CallScope
    # Asked by a sign-in alone.
    user_agent: Callable[[], str | None] = lambda: None
    client_address: str | None = None
    # Whose operations are counted: an account, else an address.
    person: str = ""
    # One of the manifests: reviewed when it was built, so its size is not limited.
    trusted_document: bool = False
    # What is read may stand in the answer so often that its length must be told first.
    may_swell: bool = False
    # A query, or not begun yet: nothing is lost when its client goes away.
    only_reads: bool = True
    # Takes the operation's cost out of the person's budget; raises RateLimitedError.
    charge: Callable[[int], Awaitable[None]] | None = None
    selection: Selection = NOTHING_SELECTED
    # A subscription's context outlives many deadlines: makes one as of a new request.
    renewed: Callable[[], "RequestContext"] | None = None
    _loaders: Loaders | None = None

    @property
    def loaders(self) -> Loaders:
        """Those of this request; empty after `forget`."""
        if self._loaders is None:
            self._loaders = Loaders(self)
        return self._loaders

    @property
    def post_relations(self) -> frozenset[str]:
        """What is sent along with posts: what is selected of author and coverFile."""
        relations = self.selection.post_relations
        guarded = self.shared.storage_authorization
        return relations - {"coverFile"} if guarded else relations

    def forget(self) -> None:
        """Drop every loaded row: it may be another's now, or older than a write.

        Also when the answer is made. Context and loaders hold each other, so without
        this a request's rows would stay until the garbage collector finds them, and the
        next request's would lie in memory that no cache has seen yet.
        """
        self._loaders = None

    def begin_again(self) -> None:
        """Start over as a new request would: deadline, tokens and loaders anew."""
        if self.renewed is not None:
            fresh = self.renewed()
            self.flux, self.conduit, self.scope = fresh.flux, fresh.conduit, fresh.scope
        # The event that this is for may be newer than a read that is on its way.
        self.scope.begin_anew()
        self.forget()

    def require_viewer(self) -> str:
        """The viewer's id at Conduit; refuses before any call when there is none.

        Raises: NotAuthenticatedError.
        """
        user_id = self.session.user_id
        if user_id is None:
            raise NotAuthenticatedError("nobody is signed in")
        return user_id
