"""The switches of the Conduit stand-in, named as Conduit's own where it has one.

Made by `sandbox/__main__.py` and by tests. Not frozen: a test changes a running
stand-in as an administrator would (`state.settings.access_token_s = 2`).
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client of `security.clientValidation` (conduit.md, section 8)."""

    client_id: str
    secret: str
    platform: str = "ANDROID"


@dataclass(slots=True)
class ConduitSettings:
    """Defaults are those of a fresh Conduit but for the secrets. Times in seconds."""

    # Conduit's own default is S3CR3T, of which PyJWT warns.
    jwt_secret: str = "sandbox-conduit-jwt-secret-0123456789"
    access_token_s: float = 3_600.0
    refresh_token_s: float = 604_800.0
    multiple_user_sessions: bool = False
    tokens_in_cookies: bool = False
    # Between finding a refresh token and deleting it, and again until the new pair is
    # saved. With 10 ms the recorded race comes out (auth_concurrency.json).
    renew_step_s: float = 0.01

    client_validation: bool = False
    clients: list[Client] = field(default_factory=list)

    rate_limit: int | None = 50  # requests of one address per rate_window_s
    rate_window_s: float = 1.0
    route_limits: bool = True  # sign-in, sign-up and storage writes (section 8)

    cache_s: float = 10.0
    latency_s: float = 0.0  # added to every request

    storage_authorization: bool = False
    admin_master_key: str = "sandbox-master-key"
    admin_user: str = "admin"
    admin_password: str = "sandbox-admin"
    route_delay_s: float = 1.0  # from a declaration to the router (section 13: seconds)
    host_url: str = "http://localhost:3000"  # where the router says that it is

    signing_secret: str = "sandbox-signing-secret"
    file_server_url: str = "http://127.0.0.1:8103"
    signed_url_s: float = 3_600.0
    # The local provider knows no ranges; S3, Google and Azure do (section 6).
    file_ranges: bool = False
