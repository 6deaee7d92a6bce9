"""The Flux gateway: from a Host header to a tenant, and who may pass.

`app.py` calls `Gateway.answer`; what passes goes to `rest.py` as the tenant's role.
The order of decisions is flux.md §5's, held by recordings 15, 16 and 17.
"""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from .database import Caller, Database
from .http import Answer, Request
from .rest import Rest
from .settings import FluxSettings, Project
from .tokens import InvalidTokenError, bearer, gateway_caller

_ABSORBED_EXTENSION = re.compile(
    r"\.(?:ico|png|jpe?g|gif|svg|webp|css|m?js|map|txt|xml|woff2?|ttf|eot)$"
)
_ABSORBED_PREFIX = re.compile(
    r"/(?:\.well-known|\.env|\.git|wp-admin|admin|administrator|server-status|cgi-bin)"
    r"\b"
)
_FAVICONS = re.compile(r"/(?:favicon\.ico|apple-touch-icon[\w-]*\.png)$")
_FLAT_HOST = re.compile(r"api--(?P<slug>.+)--(?P<hash>[0-9a-f]{7})$")
_DOTTED_HOST = re.compile(r"api\.(?P<slug>[^.]+)\.(?P<hash>[0-9a-f]{7})$")
_OLD_HOST = re.compile(r"(?P<slug>[^.]+)-(?P<hash>[0-9a-f]{7})$")
_LOOPBACK = frozenset(("127.0.0.1", "localhost", "[::1]"))

_REFUSED_STATES = {
    "migrating": "project is migrating; try again later",
    "dormant": "project is dormant; wake the project to resume API traffic",
    "archived": "project is archived",
}


@dataclass(slots=True)
class _Window:
    """A rate limit's fixed window; it starts with its first request."""

    start: float
    requests: int = 0


class Gateway:
    """The pooled engine's edge. `clock` gives the rate limit's seconds."""

    def __init__(
        self,
        rest: Rest,
        database: Database,
        settings: FluxSettings,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._rest = rest
        self._database = database
        self._settings = settings
        self._clock = clock
        self._projects = {
            (project.slug, project.hash): project for project in settings.projects
        }
        self._windows: dict[str, _Window] = {}
        self._inflight: set[asyncio.Task[Answer]] = set()

    async def answer(self, request: Request) -> Answer:
        """Decide in the gateway's order; what passes is answered by PostgREST."""
        if request.head_bytes > self._settings.max_head_bytes:
            return Answer(431, {"Connection": "close"})
        if own := await self._own_path(request.path):
            return own
        project = self._project(request.headers.get("host", ""))
        if project is None:
            return _refusal(404, "tenant not found")
        if refusal := _unroutable(project):
            return refusal
        token = bearer(request.headers.get("authorization"))
        if token is None:
            return _refusal(401, "authorization required")
        if project.jwt_secret is None:
            return _refusal(
                503, "project jwt_secret missing; run repair on the control plane"
            )
        try:
            caller = gateway_caller(token, project, project.jwt_secret)
        except InvalidTokenError:
            return _refusal(401, "invalid or expired token")
        if not self._within_rate_limit(project):
            return _refusal(429, "rate limit exceeded")
        return await self._forward(request, project, caller)

    async def _own_path(self, path: str) -> Answer | None:
        if path == "/health":
            return _json(200, {"status": "ok"})
        if path == "/health/deep":
            is_up = await self._database.is_up()
            state = {"ok": is_up, "db": "up" if is_up else "down", "redis": "up"}
            return _json(200 if is_up else 503, state)
        if path == "/robots.txt":
            headers = {
                "Cache-Control": "public, max-age=86400",
                "Content-Type": "text/plain; charset=utf-8",
            }
            return Answer(200, headers, b"User-agent: *\nDisallow: /\n")
        if _FAVICONS.match(path):
            return Answer(204)
        if _ABSORBED_EXTENSION.search(path) or _ABSORBED_PREFIX.match(path):
            return _refusal(404, "not found")
        return None

    def _project(self, host: str) -> Project | None:
        name = re.sub(r":\d+$", "", host.lower())
        settings = self._settings
        if name in _LOOPBACK:
            slug = settings.loopback_project
            return next((p for p in settings.projects if p.slug == slug), None)
        label = name.removesuffix(f".{settings.base_domain}")
        if label == name:
            return next((p for p in settings.projects if name in p.domains), None)
        for form in (_FLAT_HOST, _DOTTED_HOST, _OLD_HOST):
            if found := form.match(label):
                return self._projects.get((found["slug"], found["hash"]))
        return None

    def _within_rate_limit(self, project: Project) -> bool:
        if self._settings.rate_limit_requests is None:
            return True
        now = self._clock()
        window = self._windows.get(project.slug)
        if window is None or now - window.start >= self._settings.rate_limit_window_s:
            window = self._windows[project.slug] = _Window(now)
        window.requests += 1
        return window.requests <= self._settings.rate_limit_requests

    async def _forward(
        self, request: Request, project: Project, caller: Caller
    ) -> Answer:
        cap = self._settings.inflight_cap
        if len(self._inflight) >= cap:
            return _json(
                503,
                {
                    "error": "gateway overloaded, retry later",
                    "inflight": len(self._inflight),
                    "cap": cap,
                },
            )
        profile = {"accept-profile": project.schema, "content-profile": project.schema}
        headers = {**request.headers, **profile}
        task = asyncio.create_task(
            self._rest.answer(replace(request, headers=headers), caller)
        )
        self._inflight.add(task)
        task.add_done_callback(self._inflight.discard)
        # Whoever waits may go; the statement runs on, as behind the real gateway.
        await asyncio.wait({task}, timeout=self._settings.upstream_timeout_s)
        if not task.done():
            return _refusal(504, "upstream timeout")
        answer = task.result()
        if answer.head_bytes() > self._settings.max_head_bytes:
            return _refusal(502, "upstream error")
        if answer.status != 204:
            answer.headers.setdefault("Content-Type", "text/plain; charset=UTF-8")
        return answer


def _unroutable(project: Project) -> Answer | None:
    if project.mode == "v1_dedicated":
        return _refusal(
            502, 'project mode "v1_dedicated" is not routed through this gateway'
        )
    if project.state in _REFUSED_STATES:
        return _refusal(503, _REFUSED_STATES[project.state])
    return None


def _refusal(status: int, error: str) -> Answer:
    return _json(status, {"error": error})


def _json(status: int, value: object) -> Answer:
    body = json.dumps(value, separators=(",", ":")).encode()
    return Answer(status, {"Content-Type": "application/json"}, body)
