"""Settings of what keeps upstream calls few: budgets, and which reads are joined.

Read by `settings.py`; used by `resources.py` and `context.py`.
"""

import re
from dataclasses import dataclass
from typing import Final

from clients.budget import Rate

from .environment import EnvironmentReader

_RATE: Final = re.compile(r"([1-9]\d{0,6})/(\d{1,5}(?:\.\d{1,3})?)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThriftSettings:
    """A rate is None where nothing is counted. `joins_sent`: COALESCE=inflight."""

    flux: Rate | None
    conduit: Rate | None
    joins_sent: bool


def read_thrift(read: EnvironmentReader) -> ThriftSettings:
    return ThriftSettings(
        flux=_rate(read, "FLUX_RATE_LIMIT"),
        conduit=_rate(read, "CONDUIT_RATE_LIMIT"),
        joins_sent=read.choice("COALESCE", ("off", "inflight")) == "inflight",
    )


def _rate(read: EnvironmentReader, name: str) -> Rate | None:
    value = read.required(name)
    found = _RATE.fullmatch(value)
    if found is not None and float(found[2]) >= 0.1:
        return Rate(int(found[1]), float(found[2]))
    if value != "off":
        read.mistake(
            name,
            f"is {value[:80]!r}.",
            "Calls and the seconds of their window, like 100/60, or `off`.",
        )
    return None
