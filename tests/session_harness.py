"""What the session tests hold in their hands: a Conduit of their own, and processes.

`FakeConduit` keeps tokens as conduit.md §2 says: one session per person unless told
otherwise, one-use refresh tokens, revocation at once, tokens made in the same second
for the same claims byte-identical. It counts and can be slow or fail.
"""

import asyncio
import base64
import itertools
import json
import time
from dataclasses import dataclass, field

from clients.conduit.records import ConduitUser, TokenPair
from clients.errors import InvalidCredentialsError, NotAuthenticatedError
from clients.http import CallScope
from session.accounts import SessionService
from session.auth import ConduitAuth
from session.cookie import CookieSettings, SessionCookie
from session.lease import LeaseSettings
from session.login_limits import LoginLimits
from session.policy import SessionPolicy
from session.renewal import RenewalSettings, TokenKeeper
from session.session import Session, SessionRef
from session.vault import TokenVault

PASSWORDS = {"1": "nWq3vT8yLk2RzXc7JpBd5HsFg9MaQe1U"}
PASSWORD = "pass phrase of the tests"


class Clock:
    """Real time plus what a test adds."""

    def __init__(self) -> None:
        self.added_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.added_s

    def advance(self, seconds: float) -> None:
        self.added_s += seconds


def access_token(user_id: str, *, iat: float, life_s: float, sudo: bool) -> str:
    claims = {
        "id": user_id,
        "authorized": True,
        "sudo": sudo,
        "iat": int(iat),
        "exp": int(iat + life_s),
    }
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode()
    return f"eyJhbGciOiJIUzI1NiJ9.{payload.rstrip('=')}.signature"


@dataclass
class FakeConduit:
    """`delay_s` lies between what the upstream does and its answer."""

    clock: Clock
    multiple: bool = False
    life_s: float = 3600.0
    delay_s: float = 0.0
    renewals: int = 0
    sign_ins: int = 0
    failures: list[Exception] = field(default_factory=list)
    _live: dict[str, tuple[str, str]] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def sign_up(self, email: str, password: str, scope: CallScope) -> ConduitUser:
        return ConduitUser(id=f"user-{email}", username=None)

    async def sign_in(self, email: str, password: str, scope: CallScope) -> TokenPair:
        self.sign_ins += 1
        if password != PASSWORD:
            raise InvalidCredentialsError("wrong", service="conduit", status=401)
        pair = self._issue(f"user-{email}", sudo=True)
        await asyncio.sleep(self.delay_s)
        return pair

    async def renew(self, refresh_token: str, scope: CallScope) -> TokenPair:
        self.renewals += 1
        if self.failures:
            raise self.failures.pop(0)
        if refresh_token not in self._live:
            await asyncio.sleep(0)
            raise NotAuthenticatedError("Refresh token not found", status=400)
        user_id, _ = self._live.pop(refresh_token)
        pair = self._issue(user_id, sudo=False)
        await asyncio.sleep(self.delay_s)
        return pair

    async def sign_out(self, access_token: str, scope: CallScope) -> None:
        self.check(access_token)
        for refresh, (_, access) in list(self._live.items()):
            if access == access_token:
                del self._live[refresh]

    def check(self, access_token: str) -> str:
        """Whose token this is. Raises: NotAuthenticatedError, as a 401 would."""
        for user_id, access in self._live.values():
            if access == access_token and not self._expired(access):
                return user_id
        raise NotAuthenticatedError("Token is expired or otherwise not valid")

    def owns(self, refresh_token: str) -> str | None:
        return self._live.get(refresh_token, (None, ""))[0]

    def live_users(self) -> set[str]:
        return {user_id for user_id, _ in self._live.values()}

    def _issue(self, user_id: str, *, sudo: bool) -> TokenPair:
        if not self.multiple:
            for refresh, (owner, _) in list(self._live.items()):
                if owner == user_id:
                    del self._live[refresh]
        now = self.clock()
        access = access_token(user_id, iat=now, life_s=self.life_s, sudo=sudo)
        refresh = f"refresh-{next(self._numbers)}"
        self._live[refresh] = (user_id, access)
        return TokenPair(access, refresh)

    def _expired(self, access: str) -> bool:
        payload = access.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        return bool(self.clock() >= claims["exp"])


@dataclass
class Process:
    """One server process: its own keeper and service over a vault."""

    vault: TokenVault
    conduit: FakeConduit
    clock: Clock
    policy: SessionPolicy
    settings: RenewalSettings = field(
        default_factory=lambda: RenewalSettings(
            give_up_after_s=0.3,
            save_patience_s=5.0,
            lease=LeaseSettings(lease_s=1.0, wait_s=5.0),
        )
    )

    def __post_init__(self) -> None:
        self.cookie = SessionCookie(
            CookieSettings(passwords=PASSWORDS, secure=True), clock=self.clock
        )
        self.keeper = TokenKeeper(
            self.vault,
            self.conduit,
            policy=self.policy,
            settings=self.settings,
            clock=self.clock,
        )
        self.service = SessionService(
            self.vault,
            self.keeper,
            self.conduit,
            self.cookie,
            policy=self.policy,
            limits=LoginLimits(per_account=1000, per_address=1000),
            clock=self.clock,
        )

    async def sign_in(self, email: str, *, user_agent: str | None = None) -> Session:
        session = Session(source="cookie")
        await self.service.sign_in(
            session, email, PASSWORD, scope(), user_agent=user_agent
        )
        return session

    async def call(self, session: Session) -> str:
        """What `clients/http.py` does with a Conduit call: who the upstream says it is.

        One repetition with a replaced token after a 401.
        """
        session = Session(session.ref, source=session.source)
        auth = ConduitAuth(self.keeper, session, scope())
        token = await auth.token()
        try:
            return self.conduit.check(token)
        except NotAuthenticatedError:
            replacement = await auth.replacement(token)
            if replacement is None:
                raise
            return self.conduit.check(replacement)


def scope(timeout_s: float = 20.0) -> CallScope:
    return CallScope.for_background(timeout_s, "test-request")


def ref_of(session: Session) -> SessionRef:
    assert session.ref is not None
    return session.ref
