"""`RequestContext`: all that a resolver can reach, made anew for every request.

Made by `server/context.py`; handed to every field by `schema/`. Making one costs no
upstream call and no vault read.
"""

from dataclasses import dataclass, field

from clients.conduit.client import ConduitClient
from clients.errors import NotAuthenticatedError
from clients.flux.client import FluxClient
from clients.http import CallScope
from session.accounts import SessionService
from session.session import Session

from .loaders import Loaders
from .selection import Selection as Selection


@dataclass(kw_only=True)
class RequestContext:
    """Who asks, through which clients, within which deadline.

    `selection` is set by `schema/documents.py` before the first field is resolved.
    """

    session: Session
    sessions: SessionService
    flux: FluxClient
    conduit: ConduitClient
    scope: CallScope
    user_agent: str | None = None
    client_address: str | None = None
    preview_path: str = "/preview"
    max_page_size: int = 100
    # False leaves it to the upstream who may change what (CONDUIT_OWNERSHIP=upstream).
    checks_ownership: bool = True
    selection: Selection = field(default_factory=Selection)
    loaders: Loaders = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Start with empty loaders."""
        self.forget()

    def forget(self) -> None:
        """Drop every loaded row: it may be another's now, or older than a write."""
        self.loaders = Loaders(self)

    def require_viewer(self) -> str:
        """The viewer's id at Conduit; refuses before any call when there is none.

        Raises: NotAuthenticatedError.
        """
        if self.session.user_id is None:
            raise NotAuthenticatedError("nobody is signed in")
        return self.session.user_id
