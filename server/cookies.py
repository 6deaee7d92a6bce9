"""The request's `Session`, read late and written back.

The cookie is unsealed when somebody first asks for the session, so static pages and
probes cost nothing. `Set-Cookie` is written when the answer starts and only if the
session changed; each cookie in a header of its own. A bearer value takes the place of
all cookies: with `Authorization: Bearer` the cookie is not even looked at.
"""

from typing import Final

import msgspec
from starlette.types import Scope

from session.cookie import SessionCookie
from session.session import Session

from .guard import bearer_value
from .head import Head, RawHeaders

# Of the ASGI scope: a `LateSession`, where the door has let the request in.
SESSION: Final = "mainstem.session"


class LateSession(msgspec.Struct, eq=False):
    """The session of one request; `read` unseals it at its first call."""

    cookie: SessionCookie
    head: Head
    # None as long as nobody has asked for it.
    session: Session | None = None

    def __repr__(self) -> str:
        """Without the head, which holds the cookie."""
        return f"<LateSession {self.session!r}>"

    def read(self) -> Session:
        session = self.session
        if session is None:
            head = self.head
            value = bearer_value(head) if b"authorization" in head else None
            session = self.session = (
                self.cookie.read(self._own_cookies())
                if value is None
                else self.cookie.read_bearer(value)
            )
        return session

    def _own_cookies(self) -> dict[str, str]:
        """The session's cookies; of one sent twice the last counts.

        A seal holds nothing that is escaped in a cookie, and CPython's unquoting takes
        seconds for a cookie of backslashes (CVE-2024-7592, in 3.11 up to 3.11.9).
        """
        name, own = self.cookie.name, {}
        for one in self.head.joined(b"cookie", b";").split(";"):
            key, equals, value = one.partition("=")
            if equals and name in key:
                own[key.strip()] = value.strip().strip('"')
        return own

    def tell(self, session: Session, headers: RawHeaders) -> None:
        """Adds what the client must hear of it; a header for each cookie."""
        headers += [
            (b"set-cookie", value.encode("latin-1"))
            for value in self.cookie.write(session)
        ]


def session_of(scope: Scope) -> Session:
    late: LateSession = scope[SESSION]
    return late.read()
