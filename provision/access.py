"""Where the Conduit is and who may change it, out of the command's environment.

Made by `__main__.py` alone, which reads the environment. Secrets are not in the
`repr`, and `hidden` takes them out of any text.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit


class AccessError(Exception):
    """The environment is at fault; `mistakes` holds every single mistake."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Addresses without a slash at the end, and credentials."""

    admin_url: str
    user: str
    master_key: str = field(repr=False)
    password: str = field(repr=False)
    client_url: str | None = None  # None: what the router says of itself
    client_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_bundle: str | None = None

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Access":
        """Read it, all mistakes at once. Raises: AccessError."""
        mistakes: list[str] = []

        def needed(name: str) -> str:
            value = env.get(name, "").strip()
            if not value:
                mistakes.append(f"{name} is not set.")
            return value

        def address(name: str, value: str) -> str:
            if value and (wrong := _wrong_address(value)):
                mistakes.append(f"{name} {wrong}.")
            return value.rstrip("/")

        names = {
            "clientid": "CONDUIT_CLIENT_ID",
            "clientsecret": "CONDUIT_CLIENT_SECRET",
        }
        access = cls(
            admin_url=address("CONDUIT_ADMIN_URL", needed("CONDUIT_ADMIN_URL")),
            user=needed("CONDUIT_ADMIN_USER"),
            master_key=needed("CONDUIT_MASTER_KEY"),
            password=needed("CONDUIT_ADMIN_PASSWORD"),
            client_url=address("CLIENT_BASE_URL", env.get("CLIENT_BASE_URL", ""))
            or None,
            client_headers={
                header: env[name] for header, name in names.items() if env.get(name)
            },
            ca_bundle=env.get("CA_BUNDLE") or None,
        )
        if access.admin_url and access.admin_url == access.client_url:
            mistakes.append(
                "CONDUIT_ADMIN_URL and CLIENT_BASE_URL are the same address; the Admin "
                "API is another port (default 3030) than the client API (default 3000)."
            )
        if mistakes:
            raise AccessError(mistakes)
        return access

    def tls(self) -> ssl.SSLContext:
        """The system's store and, added to it, our own CA bundle. Raises: OSError."""
        context = ssl.create_default_context()
        if self.ca_bundle is not None:
            context.load_verify_locations(cafile=self.ca_bundle)
        return context

    def hidden(self, text: str) -> str:
        """The text without any secret of ours."""
        secrets = [self.master_key, self.password]
        secrets += [self.client_headers.get("clientsecret", "")]
        for secret in filter(None, secrets):
            text = text.replace(secret, "<hidden>")
        return text


def _wrong_address(value: str) -> str | None:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return "is not an address"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "must begin with http:// or https:// and name a host"
    if parts.username or parts.password:
        return "must not hold a user or password"
    if parts.query or parts.fragment:
        return "must not have a query or fragment"
    return None
