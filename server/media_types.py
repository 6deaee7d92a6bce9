"""Which of our media types an Accept header asks for (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence
from functools import lru_cache

JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"
HTML = "text/html"


@lru_cache(maxsize=256)
def negotiate(accept: str | None, offered: tuple[str, ...]) -> str | None:
    """The offered type that is wanted most, or None if none is acceptable.

    A missing header accepts everything. Between equals the more exactly named one
    wins, then the one named first, then the one offered first.
    """
    if accept is None or not accept.strip():
        return offered[0]
    ranges = [_range(item) for item in accept.split(",")]
    best: tuple[float, int, int] | None = None
    chosen: str | None = None
    for candidate in offered:
        rank = _rank(candidate, ranges)
        if rank is not None and (best is None or rank > best):
            best, chosen = rank, candidate
    return chosen


def _range(item: str) -> tuple[str, float]:
    media_type, *parameters = (part.strip().lower() for part in item.split(";"))
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                quality = min(max(float(value), 0.0), 1.0)
            except ValueError:
                quality = 0.0
    return media_type, quality


def _rank(
    candidate: str, ranges: Sequence[tuple[str, float]]
) -> tuple[float, int, int] | None:
    """(quality, exactness, earliness) by the most exact range that fits."""
    kind = candidate.partition("/")[0]
    exactness = {candidate: 2, f"{kind}/*": 1, "*/*": 0}
    fitting = [
        (exactness[name], -position, quality)
        for position, (name, quality) in enumerate(ranges)
        if name in exactness
    ]
    if not fitting:
        return None
    exact, earliness, quality = max(fitting)
    return (quality, exact, earliness) if quality > 0 else None
