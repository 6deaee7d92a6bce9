"""Who is asking: one `Session` for each request, anonymous, opened or closed.

`session/cookie.py` makes it from the sealed cookie or bearer value,
`session/accounts.py` opens and closes it, `session/auth.py` closes it when the vault
no longer has its tokens, and `server/cookies.py` writes `Set-Cookie` when it
`changed`. It holds no token: the upstreams' tokens stay in the vault.
"""

from typing import Annotated, Final, Literal

import msgspec

Transport = Literal["cookie", "bearer"]

# Members of a seal.
USER_ID, VAULT_KEY = "userId", "vaultKey"
USER_ID_LIMIT: Final = 128


class SessionRef(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"user_id": USER_ID, "vault_key": VAULT_KEY},
    forbid_unknown_fields=True,
):
    """What a seal says: whose session it is and where its tokens lie.

    The bounds are kept where it is decoded (`session/cookie.py`).
    """

    user_id: Annotated[str, msgspec.Meta(min_length=1, max_length=USER_ID_LIMIT)]
    vault_key: Annotated[str, msgspec.Meta(min_length=8, max_length=256)]

    def __repr__(self) -> str:
        return f"SessionRef(user_id={self.user_id!r})"


class Session(msgspec.Struct, eq=False):
    """The session of one request; knows whether the client must be told of a change.

    `extra`: other members of the seal, kept when it is sealed again. `shown_cookies`:
    names of cookies that the client sent, so that pieces of the session's that are no
    longer used can be expired.
    """

    ref: SessionRef | None = None
    source: Transport | None = None
    extra: dict[str, object] = {}
    shown_cookies: tuple[str, ...] = ()
    changed: bool = False

    @property
    def is_open(self) -> bool:
        return self.ref is not None

    @property
    def user_id(self) -> str | None:
        return self.ref.user_id if self.ref else None

    @property
    def vault_key(self) -> str | None:
        return self.ref.vault_key if self.ref else None

    def open(
        self, user_id: str, vault_key: str, *, source: Transport = "cookie"
    ) -> None:
        """Become the session of `user_id`; replaces whatever was open before."""
        self.ref = SessionRef(user_id, vault_key)
        self.source = source
        self.extra = {}
        self.changed = True

    def close(self) -> None:
        """Become anonymous. The source stays: it tells how the client must hear it."""
        if self.ref is not None:
            self.ref = None
            self.extra = {}
            self.changed = True

    def __repr__(self) -> str:
        state = f"open, user_id={self.user_id!r}" if self.is_open else "anonymous"
        return f"<Session {state}, source={self.source!r}>"
