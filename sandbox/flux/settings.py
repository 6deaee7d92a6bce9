"""What the stand-in is told: its projects, its two faces and its knobs.

Made by `sandbox/__main__.py` and by tests; read by every file of this package.
"""

from dataclasses import dataclass, field
from typing import Literal

from .dialect import PostgREST12


@dataclass(frozen=True, slots=True)
class Project:
    """A row of the gateway's catalogue.

    `tenant_id` is the project's UUID; its first twelve hex digits name schema and role.
    """

    slug: str
    hash: str
    tenant_id: str
    jwt_secret: str | None = None
    mode: Literal["v2_shared", "v1_dedicated"] = "v2_shared"
    state: Literal["active", "migrating", "dormant", "archived"] = "active"
    domains: frozenset[str] = frozenset()

    @property
    def short(self) -> str:
        """The twelve hex digits that name the tenant in SQL."""
        return self.tenant_id.replace("-", "")[:12]

    @property
    def schema(self) -> str:
        """The tenant's schema."""
        return f"t_{self.short}_api"

    @property
    def role(self) -> str:
        """The role that every request through the gateway runs as."""
        return f"t_{self.short}_role"

    @property
    def owner_role(self) -> str:
        """The role that owns the tenant's tables."""
        return f"t_{self.short}_ddl"


@dataclass(frozen=True, slots=True)
class FluxSettings:
    """Both faces of Flux. Times in seconds, sizes in bytes.

    Gateway face: a host of one of `projects`, or a loopback address when
    `loopback_project` names a slug. Direct face (PostgREST without the gateway, as in
    `v1_dedicated`): the hosts in `direct_hosts`; `"*"` takes every host.
    """

    projects: tuple[Project, ...]
    base_domain: str = "flux.localhost"
    loopback_project: str | None = None
    direct_hosts: frozenset[str] = frozenset()

    # PostgREST's version, behind both faces: that which Flux pins, or a newer one.
    dialect: PostgREST12 = field(default_factory=PostgREST12)

    # PostgREST's own configuration, for the direct face.
    schemas: tuple[str, ...] = ("public",)
    anonymous_role: str = "authenticator"
    direct_jwt_secret: str | None = None
    max_rows: int | None = None
    pool_size: int = 10
    pool_timeout_s: float = 10.0
    statement_timeout_s: float = 15.0

    # The gateway's.
    rate_limit_requests: int | None = 100
    rate_limit_window_s: float = 60.0
    inflight_cap: int = 1000
    upstream_timeout_s: float = 8.0
    max_head_bytes: int = 16 * 1024

    # For tests: added to every request before anything is decided.
    latency_s: float = 0.0
