"""Settings of what protects the endpoint: statuses, disclosure, limits.

Read by `settings.py`; used by `app.py` and `resources.py`.
"""

from dataclasses import dataclass
from typing import cast

from .environment import EnvironmentReader
from .limit_settings import LimitSettings, read_limits
from .statuses import StatusProfile
from .trust_settings import read_trust
from .trusted_documents import TrustSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionSettings:
    """`reveals_schema`: introspection, the SDL and names in mistakes are public."""

    status_profile: StatusProfile
    reveals_schema: bool
    limits: LimitSettings
    documents: TrustSettings


def read_protection(read: EnvironmentReader, *, production: bool) -> ProtectionSettings:
    return ProtectionSettings(
        status_profile=cast(
            "StatusProfile", read.choice("STATUS_PROFILE", ("audit", "draft"))
        ),
        reveals_schema={"on": True, "off": False, "auto": not production}[
            read.choice("INTROSPECTION", ("auto", "on", "off"))
        ],
        limits=read_limits(read),
        documents=read_trust(read),
    )
