"""Every kind of fault that the upstreams' pages list, and what it may be told as.

`rules` are faults of `sandbox/faults.py`. `codes` are what an operation that needs the
target may answer with while it lasts; anything else is unexplained. flux.md §5, §6;
conduit.md §1, §6, §8, §9.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Target = Literal["flux", "conduit", "files", "redis", "worker"]
Rule = Mapping[str, object]

SERVICES: Final[Mapping[Target, str | None]] = {
    "flux": "flux",
    "conduit": "conduit",
    "files": "conduit",
    "redis": "vault",
    "worker": None,
}
GONE: Final = frozenset({"UPSTREAM_UNAVAILABLE"})
# The circuit opens after a few.
LATE: Final = GONE | {"UPSTREAM_TIMEOUT"}
BROKEN: Final = GONE | {"UPSTREAM_BAD_RESPONSE"}
ERROR: Final = frozenset({"UPSTREAM_ERROR"})
NONSENSE: Final = frozenset({"UPSTREAM_BAD_RESPONSE"})
LIMITED: Final = frozenset({"RATE_LIMITED"})
WRONG: Final = frozenset({"UPSTREAM_MISCONFIGURED"})
NOTHING: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class FaultKind:
    """`loses`: an answer to a renewal may be lost, and with it a session."""

    name: str
    target: Target
    codes: frozenset[str]
    rules: tuple[Rule, ...] = ()
    loses: bool = False


def _module(message: str, status: int = 500) -> Rule:
    name = "INTERNAL_SERVER_ERROR" if status == 500 else "NOT_FOUND"
    body = {"name": name, "status": status, "message": message}
    return {"path": "/", "status": status, "body": body}


def _flux(status: int, body: object, **more: object) -> Rule:
    return {"path": "/", "status": status, "body": body, **more}


def _sql(status: int, code: str, **more: object) -> Rule:
    body = {"code": code, "message": "m", "details": None, "hint": None}
    return _flux(status, body, **more)


HTML: Final = "<html><body><h1>Bad Gateway</h1></body></html>"
_HANGS: Final[Rule] = {"path": "/", "hang": True}
_WRITES_AND_HANGS: Final[tuple[Rule, ...]] = tuple(
    {"path": "/", "method": method, "hang": True, "after": "after"}
    for method in ("POST", "PATCH", "PUT", "DELETE")
)
_WRITES_AND_BREAKS: Final[tuple[Rule, ...]] = tuple(
    {"path": "/", "method": method, "reset": True, "after": "after"}
    for method in ("POST", "PATCH", "PUT", "DELETE")
)

FAULTS: Final = (
    FaultKind("slow", "flux", NOTHING, ({"path": "/", "delay_s": 0.3},)),
    FaultKind("too slow", "flux", LATE, ({"path": "/", "delay_s": 8},)),
    FaultKind("hangs", "flux", LATE, (_HANGS,)),
    FaultKind("writes, then hangs", "flux", LATE, _WRITES_AND_HANGS),
    FaultKind("resets", "flux", GONE, ({"path": "/", "reset": True},)),
    FaultKind("writes, then resets", "flux", GONE, _WRITES_AND_BREAKS),
    FaultKind("429", "flux", LIMITED, (_flux(429, {"error": "rate limit exceeded"}),)),
    FaultKind("500 XX000", "flux", ERROR, (_sql(500, "XX000"),)),
    FaultKind(
        "500 57014", "flux", frozenset({"UPSTREAM_TIMEOUT"}), (_sql(500, "57014"),)
    ),
    FaultKind("502", "flux", GONE, (_flux(502, {"error": "upstream error"}),)),
    FaultKind("502 HTML", "flux", GONE, (_flux(502, HTML),)),
    FaultKind(
        "503 PGRST001",
        "flux",
        GONE,
        (_sql(503, "PGRST001", headers={"Retry-After": "1"}),),
    ),
    FaultKind(
        "503 overloaded",
        "flux",
        GONE,
        (_flux(503, {"error": "gateway overloaded, retry later"}),),
    ),
    FaultKind(
        "writes, then 504",
        "flux",
        LATE,
        (_flux(504, {"error": "upstream timeout"}, after="after"),),
    ),
    FaultKind("504 PGRST003", "flux", LATE, (_sql(504, "PGRST003"),)),
    FaultKind(
        "tenant not found", "flux", GONE, (_flux(404, {"error": "tenant not found"}),)
    ),
    FaultKind("cut bodies", "flux", BROKEN, ({"path": "/", "truncate": 7},)),
    FaultKind("garbage", "flux", NONSENSE, (_flux(200, "<h1>welcome</h1>"),)),
    FaultKind("slow", "conduit", NOTHING, ({"path": "/", "delay_s": 0.3},)),
    FaultKind("too slow", "conduit", LATE, ({"path": "/", "delay_s": 8},), loses=True),
    FaultKind("hangs", "conduit", LATE, (_HANGS,)),
    FaultKind("writes, then hangs", "conduit", LATE, _WRITES_AND_HANGS, loses=True),
    FaultKind("resets", "conduit", GONE, ({"path": "/", "reset": True},)),
    FaultKind("writes, then resets", "conduit", GONE, _WRITES_AND_BREAKS, loses=True),
    FaultKind(
        "429 text",
        "conduit",
        LIMITED,
        ({"path": "/", "status": 429, "body": "Too Many Requests"},),
    ),
    FaultKind(
        "429 of a route",
        "conduit",
        LIMITED,
        (
            {
                "path": "/",
                "status": 429,
                "body": {
                    "name": "RATE_LIMIT",
                    "status": 429,
                    "message": "Too Many Requests",
                },
            },
        ),
    ),
    FaultKind(
        "module down", "conduit", GONE, (_module("round_robin: No connection est"),)
    ),
    FaultKind("module restarts", "conduit", GONE, (_module("Not found", 404),)),
    FaultKind(
        "pool used up",
        "conduit",
        LATE,
        ({**_module("Operation timeout"), "delay_s": 6},),
    ),
    FaultKind("500 unknown", "conduit", ERROR, (_module("something else"),)),
    FaultKind("500 HTML", "conduit", ERROR, (_flux(500, HTML),)),
    FaultKind("502 HTML", "conduit", GONE, (_flux(502, HTML),)),
    FaultKind("503 HTML", "conduit", GONE, (_flux(503, HTML),)),
    FaultKind(
        "writes, then 504 HTML",
        "conduit",
        LATE,
        (_flux(504, HTML, after="after"),),
        loses=True,
    ),
    FaultKind("cut bodies", "conduit", BROKEN, ({"path": "/", "truncate": 7},), True),
    FaultKind("garbage", "conduit", NONSENSE, (_flux(200, "<h1>welcome</h1>"),)),
    FaultKind("unknown route", "conduit", WRONG, (_flux(404, HTML),)),
    FaultKind("hangs", "files", LATE, (_HANGS,)),
    FaultKind("resets", "files", GONE, ({"path": "/", "reset": True},)),
    FaultKind("503", "files", GONE | NONSENSE, (_flux(503, "busy"),)),
    FaultKind(
        "cut bodies", "files", BROKEN | {"CUT"}, ({"path": "/", "truncate": 100},)
    ),
    FaultKind("restarts", "redis", GONE),
    FaultKind("killed", "worker", frozenset({"CUT", "REFUSED"}), loses=True),
)
