"""The common pitfalls of both guides: sign, likely cause, cure, and how to tell.

Read by `check.py`. Derived from flux.md §3, §5, §6 and conduit.md §1, §8, §9, §10;
each condition looks at what an upstream really answers in that case.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Answer(Protocol):
    """What a pitfall is told by; see `check.Finding`."""

    @property
    def part(self) -> str: ...
    @property
    def ok(self) -> bool: ...
    @property
    def status(self) -> int | None: ...
    @property
    def text(self) -> str: ...
    @property
    def html(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Pitfall:
    sign: str
    cause: str
    cure: str
    fits: Callable[[Answer], bool]


def _answer(
    part: str, *statuses: int, holds: tuple[str, ...] = ()
) -> Callable[[Answer], bool]:
    """Fits a failed answer of `part` with one of the statuses and one of the texts."""

    def fits(answer: Answer) -> bool:
        return (
            not answer.ok
            and answer.part.startswith(part)
            and (not statuses or answer.status in statuses)
            and (not holds or any(text in answer.text for text in holds))
        )

    return fits


def _no_answer(*texts: str) -> Callable[[Answer], bool]:
    def fits(answer: Answer) -> bool:
        if answer.ok or answer.status is not None or answer.part == "Redis":
            return False
        return any(text in answer.text.lower() for text in texts)

    return fits


def _is_html(answer: Answer) -> bool:
    return not answer.ok and answer.html and answer.status != 404


def _is_html_404(answer: Answer) -> bool:
    return not answer.ok and answer.html and answer.status == 404


def _empty_404(answer: Answer) -> bool:
    known = ("42P01", "PGRST205")
    return _answer("Flux", 404)(answer) and (
        answer.text.strip() == "{}" or any(code in answer.text for code in known)
    )


def _unreachable(answer: Answer) -> bool:
    """No answer, and neither a slow one nor one that is not trusted."""
    others = ("certificate", "no answer in time", "name or service", "getaddrinfo")
    return _no_answer("")(answer) and not _no_answer(*others)(answer)


PITFALLS: tuple[Pitfall, ...] = (
    Pitfall(
        "Flux: 404 tenant not found",
        "FLUX_URL names no project (wrong slug or hash), or Flux's catalogue is down.",
        "Copy the Service URL from `flux list`; if it is right, try again later.",
        _answer("Flux", 404, holds=("tenant not found",)),
    ),
    Pitfall(
        "Flux: 401 authorization required",
        "The request carried no token; a pooled project wants one on every request.",
        "Set FLUX_JWT_SECRET (from `flux project credentials`).",
        _answer("Flux", 401, holds=("authorization required",)),
    ),
    Pitfall(
        "Flux: 401 invalid or expired token",
        "FLUX_JWT_SECRET is not this project's secret, or this machine's clock is off.",
        "Copy the secret again, as shown (do not decode it); check the time (NTP).",
        _answer(
            "Flux", 401, holds=("invalid or expired token", "PGRST301", "PGRST303")
        ),
    ),
    Pitfall(
        "Flux: table notes not found (404, 42P01 or PGRST205)",
        "The table was not made, or the profile header names another schema.",
        "Run `flux push flux-init.sql`; set FLUX_POSTGREST_SCHEMA to the schema that "
        "`flux list` shows.",
        _empty_404,
    ),
    Pitfall(
        "Flux: column not found (400, 42703)",
        "The table is the guide's own and lacks the columns of flux-init.sql.",
        "Run `flux push flux-init.sql`; it upgrades the table and keeps its rows.",
        _answer("Flux", 400, holds=("42703",)),
    ),
    Pitfall(
        "Flux: 406 PGRST106",
        "FLUX_POSTGREST_SCHEMA names a schema that is not exposed.",
        "Set it to the project's own schema, or leave it out behind the gateway.",
        _answer("Flux", 406, holds=("PGRST106",)),
    ),
    Pitfall(
        "Flux: permission denied (42501)",
        "The role lacks the grant on the table, or FLUX_JWT_ROLE is not a role there.",
        "Run `flux push flux-init.sql`; on a dedicated project set FLUX_JWT_ROLE to "
        "authenticated.",
        _answer("Flux", 400, 401, 403, holds=("42501", "22023")),
    ),
    Pitfall(
        "Flux: 502 not routed through this gateway",
        "The project is dedicated (v1_dedicated), and FLUX_URL names the gateway.",
        "Use the dedicated project's own address and set FLUX_POSTGREST_SCHEMA.",
        _answer("Flux", 502, holds=("not routed through this gateway",)),
    ),
    Pitfall(
        "Flux: 503 dormant, archived, migrating or without secret",
        "The project is not serving now.",
        "Wake or repair it with the Flux CLI; wait while it migrates.",
        _answer(
            "Flux",
            503,
            holds=("dormant", "archived", "migrating", "jwt_secret missing"),
        ),
    ),
    Pitfall(
        "Flux: 502, 503 or 504 otherwise",
        "Its database or its pool is down, starting or overloaded.",
        "Nothing to change here; the fields of Flux are null until it is back.",
        _answer("Flux", 502, 503, 504),
    ),
    Pitfall(
        "429 too many requests",
        "The budget is used up: Flux 100 per minute and project, Conduit 50 per second "
        "and address.",
        "Wait a minute; look for another program that uses the same project.",
        _answer("", 429),
    ),
    Pitfall(
        'Conduit: 401 {"error": …}',
        "CLIENT_BASE_URL names the Admin API, not the client API.",
        "Use the router's port, usually 3000; the Admin API is 3030.",
        _answer("Conduit", 401, holds=('{"error"',)),
    ),
    Pitfall(
        "Conduit: 401 with the plain text Unauthorized",
        "Client validation is on, and the request named no client.",
        "Set CONDUIT_CLIENT_ID and CONDUIT_CLIENT_SECRET.",
        lambda answer: (
            _answer("Conduit", 401)(answer) and answer.text.strip() == "Unauthorized"
        ),
    ),
    Pitfall(
        "Conduit: 404 as an HTML page",
        "The endpoint is not there: conduit-init.json was not applied, the module has "
        "not told the router yet, or the port is not Conduit's.",
        "Apply conduit-init.json, wait some seconds, check CLIENT_BASE_URL.",
        _is_html_404,
    ),
    Pitfall(
        "Conduit: 404 Not found as JSON",
        "A module is starting.",
        "Wait some seconds and check again.",
        _answer("Conduit", 404, holds=('"Not found"',)),
    ),
    Pitfall(
        "Conduit: 500 round_robin, or Operation timeout",
        "A module is down, or the database module has used up its connections.",
        "Start the module; restart the database module.",
        _answer("Conduit", 500, holds=("round_robin", "Operation timeout")),
    ),
    Pitfall(
        "A redirect (301, 302, 307 or 308)",
        "FLUX_URL or CLIENT_BASE_URL says http, and the proxy there wants https.",
        "Write https://; no redirect is followed, since the token would go along.",
        _answer("", 301, 302, 307, 308),
    ),
    Pitfall(
        "An HTML page where JSON should be",
        "Something else answers: a proxy, a login page, another program on that port.",
        "Open the address in a browser and see who answers.",
        _is_html,
    ),
    Pitfall(
        "TLS: the certificate is not trusted",
        "The upstream's certificate is from a private authority, for another host, or "
        "lacks what RFC 5280 demands (Python 3.13 names the extension).",
        "Set CA_BUNDLE to the authority's PEM file, and make a certificate anew that "
        "lacks something; never switch verification off.",
        _no_answer("certificate"),
    ),
    Pitfall(
        "The host name is not known",
        "A typing mistake in FLUX_URL or CLIENT_BASE_URL, or no name service.",
        "Check the address, then the name service of this machine.",
        _no_answer("name or service", "getaddrinfo", "nodename"),
    ),
    Pitfall(
        "No connection",
        "Nothing listens there. Inside a container localhost is the container itself.",
        "Start the upstream; in a container use its service name, not localhost.",
        _unreachable,
    ),
    Pitfall(
        "No answer in time",
        "A firewall drops the packets, or the upstream hangs.",
        "Call the address from this machine with curl.",
        _no_answer("no answer in time"),
    ),
    Pitfall(
        "Redis: no answer",
        "REDIS_URL is wrong, Redis is down, or it wants TLS or a password.",
        "Check with redis-cli -u; use rediss:// for TLS.",
        _answer("Redis"),
    ),
)
