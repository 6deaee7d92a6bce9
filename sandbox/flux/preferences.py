"""The `Prefer` header, read by `rest.py`. Recordings 03, 05, 06 and 13."""

from collections.abc import Iterable
from dataclasses import dataclass

from .errors import FluxError

_VALUES = {
    "resolution": frozenset(("merge-duplicates", "ignore-duplicates")),
    "missing": frozenset(("default", "null")),
    "return": frozenset(("representation", "headers-only", "minimal")),
    "count": frozenset(("exact", "planned", "estimated")),
    "tx": frozenset(("commit", "rollback")),
    "handling": frozenset(("strict", "lenient")),
}


@dataclass(frozen=True, slots=True)
class Preferences:
    """What was asked for and understood; `None` is "nothing said"."""

    resolution: str | None = None
    missing: str | None = None
    return_: str | None = None
    count: str | None = None
    handling: str | None = None
    timezone: str | None = None
    max_affected: int | None = None

    @property
    def strict(self) -> bool:
        """Whether what is not understood is an error."""
        return self.handling == "strict"

    def applied(self, *, resolution: bool, missing: bool, return_: bool) -> str:
        """The value of `Preference-Applied`; the flags tell what the method heeds."""
        said = {
            "resolution": self.resolution if resolution else None,
            "missing": self.missing if missing else None,
            "return": self.return_ if return_ else None,
            "count": self.count,
            "handling": self.handling,
            "timezone": self.timezone,
        }
        return ", ".join(f"{name}={value}" for name, value in said.items() if value)


def parse_preferences(header: str, timezones: Iterable[str]) -> Preferences:
    """Raises: FluxError PGRST122 for unknown preferences with `handling=strict`."""
    found: dict[str, str] = {}
    unknown: list[str] = []
    for preference in (part.strip() for part in header.split(",")):
        name, _, value = preference.partition("=")
        if not preference:
            continue
        known = value in _VALUES.get(name, ())
        known = known or (name == "timezone" and value in timezones)
        known = known or (name == "max-affected" and value.isdigit())
        if not known:
            unknown.append(preference)
        else:
            found.setdefault(name, value)
    if unknown and found.get("handling") == "strict":
        raise FluxError(
            400,
            "PGRST122",
            "Invalid preferences given with handling=strict",
            details=f"Invalid preferences: {', '.join(unknown)}",
        )
    affected = found.get("max-affected")
    return Preferences(
        resolution=found.get("resolution"),
        missing=found.get("missing"),
        return_=found.get("return"),
        count=found.get("count"),
        handling=found.get("handling"),
        timezone=found.get("timezone"),
        max_affected=int(affected) if affected else None,
    )
