"""`python -m server --check`: are Redis, Flux and Conduit there, and if not, why?

The connectivity check of the Flux guide, for all three. Prints one line for each call
(ok or failed, status, the first 300 characters of the answer), then the common
pitfalls with their likely cause and cure, those that fit marked. What it prints is for
the operator's terminal; nothing of it is ever sent to a client.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, Literal, TextIO

from clients.errors import NotAuthenticatedError, UpstreamError, UpstreamTimeoutError
from clients.flux.notes import NOTE_COLUMNS
from clients.http import CallScope, Response, UpstreamHTTP
from session.cookie import SessionCookie

from .logs import blot
from .pitfalls import PITFALLS
from .resources import Resources, open_resources
from .settings import Settings

CHECK_TIMEOUT_S: Final = 10.0
PREVIEW_CHARACTERS: Final = 300
# A person that owns nothing: with row-level security the answer is an empty list.
CHECK_SUBJECT: Final = "connectivity-check"
# All columns, so that a table of the guide alone shows.
FLUX_TARGET: Final = f"/notes?select={','.join(sorted(NOTE_COLUMNS))}&limit=1"
# Of conduit-init.json. What the loaders do without the first three: clients/conduit/
# lookups.py.
ENDPOINTS: Final = (
    "GetPostsByIds",
    "GetUsersByIds",
    "GetFilesByIds",
    "GetPostsByAuthor",
    "PostsBefore",
    "PostsAfter",
    "PostsByAuthorBefore",
    "PostsByAuthorAfter",
    "SearchPosts",
    "GetFiles",
)
WITHOUT_ENDPOINTS: Final = (
    "Until then posts and files by id are read in a slower way (aliases over /graphql, "
    "or one by one), people only as authors of posts; lists that need the others fail."
)

Part = Literal["Redis", "Flux", "Conduit", "Conduit endpoints"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one call brought. `status` is None when no answer came."""

    part: Part
    ok: bool
    status: int | None
    media_type: str
    text: str
    note: str = ""

    @property
    def html(self) -> bool:
        return self.media_type == "text/html" and self.text.lstrip().startswith("<")

    def line(self) -> str:
        state = "ok" if self.ok else "failed"
        status = "-" if self.status is None else str(self.status)
        preview = " ".join(blot(self.text[:PREVIEW_CHARACTERS]).split())
        note = f"\n{'':<26} {self.note}" if self.note else ""
        return f"{self.part:<18} {state:<7} {status:<4} {preview}{note}"


async def run_check(settings: Settings, out: TextIO) -> int:
    """Call everything once and print. 0 when all is well, else 1."""
    cookie = SessionCookie(settings.session.cookie)
    async with open_resources(settings, cookie) as resources:
        findings = await asyncio.gather(
            _redis(resources),
            _flux(resources),
            _conduit(resources.conduit_http),
            _conduit_endpoints(resources.conduit_http),
        )
    for finding in findings:
        print(finding.line(), file=out)
    print("\nCommon pitfalls", file=out)
    for pitfall in PITFALLS:
        fits = any(pitfall.fits(finding) for finding in findings)
        print(f"\n[{'FOUND' if fits else '  -  '}] {pitfall.sign}", file=out)
        print(f"        likely cause: {pitfall.cause}", file=out)
        print(f"        cure: {pitfall.cure}", file=out)
    return 0 if all(finding.ok for finding in findings) else 1


async def _redis(resources: Resources) -> Finding:
    try:
        await resources.vault.ping()
    except UpstreamError as error:
        return _failed("Redis", error)
    return Finding("Redis", True, None, "", "PONG")


async def _flux(resources: Resources) -> Finding:
    schema = resources.settings.flux.schema
    token = _check_token(resources)

    async def call(scope: CallScope) -> Response:
        return await resources.flux_http.send(
            "GET",
            FLUX_TARGET,
            operation="check",
            scope=scope,
            auth=_FixedToken(token),
            headers={"Accept-Profile": schema} if schema else {},
        )

    return await _ask("Flux", call, lambda answer: answer.status in (200, 206))


def _check_token(resources: Resources) -> str | None:
    """None when tokens come out of the vault: there is nobody's to use."""
    try:
        return resources.flux_tokens.token(user_id=CHECK_SUBJECT, record=None)
    except NotAuthenticatedError:
        return None


async def _conduit(http: UpstreamHTTP) -> Finding:
    async def call(scope: CallScope) -> Response:
        return await http.send("GET", "/ready", operation="check", scope=scope)

    return await _ask("Conduit", call, _is_json_success)


async def _conduit_endpoints(http: UpstreamHTTP) -> Finding:
    """Without a token an endpoint that exists answers 401 as JSON, others HTML 404."""
    findings = await asyncio.gather(*(_endpoint(http, name) for name in ENDPOINTS))
    failed = [finding for finding in findings if not finding.ok]
    if not failed:
        return findings[0]
    absent = [
        name
        for name, finding in zip(ENDPOINTS, findings, strict=True)
        if finding.html and finding.status == 404
    ]
    note = f"absent: {', '.join(absent)}. {WITHOUT_ENDPOINTS}" if absent else ""
    return replace(failed[0], note=note)


async def _endpoint(http: UpstreamHTTP, name: str) -> Finding:
    async def call(scope: CallScope) -> Response:
        target = f"/database/function/{name}"
        return await http.send("GET", target, operation="check", scope=scope)

    return await _ask("Conduit endpoints", call, _is_guarded)


def _is_json_success(answer: Response) -> bool:
    return answer.status == 200 and answer.media_type == "application/json"


def _is_guarded(answer: Response) -> bool:
    return answer.status in (200, 401) and answer.media_type == "application/json"


async def _ask(
    part: Part,
    call: Callable[[CallScope], Awaitable[Response]],
    well: Callable[[Response], bool],
) -> Finding:
    scope = CallScope.for_background(CHECK_TIMEOUT_S, CHECK_SUBJECT)
    try:
        answer = await call(scope)
    except UpstreamError as error:
        return _failed(part, error)
    return Finding(
        part, well(answer), answer.status, answer.media_type, answer.preview()
    )


def _failed(part: Part, error: UpstreamError) -> Finding:
    """No answer: the words of the failure stand in its place."""
    words = "no answer in time: " if isinstance(error, UpstreamTimeoutError) else ""
    return Finding(part, False, None, "", f"{words}{error.message}")


class _FixedToken:
    """The token made for this check; there is no second one."""

    person: str | None = None

    def __init__(self, token: str | None) -> None:
        self._token = token

    async def token(self) -> str | None:
        return self._token

    async def replacement(self, refused: str) -> str | None:
        return None
