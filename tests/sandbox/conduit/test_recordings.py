"""Every recorded exchange of a real Conduit, replayed against the stand-in.

The recordings were made one after another on one server, so they are replayed on one
state in the same order, with what happened between them (`HOOKS`). Ids, tokens, times
and signatures differ from run to run: they are bound when first seen and must then
agree everywhere. Everything else is compared exactly: status, headers (the content
length too, as bodies are as long as the recorded ones) and body.

`left_out.json` says what is not claimed, with a reason each; docs/upstreams.md is
made from it.
"""

import asyncio
import itertools
import json
import random
import re
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from sandbox.conduit import (
    Client,
    ConduitSettings,
    ConduitState,
    Declarations,
    create_conduit_app,
    create_file_server,
)

HERE = Path(__file__).parent
RECORDINGS = HERE.parents[1] / "recordings" / "conduit"

ALICE = "ec166ec8-13c3-4719-a71f-e1a22fff5bc3"
BOB = "fc22ba45-c800-4d5b-8f67-8e0ea9bb6ea7"

# In the order of recording; the last of custom_endpoints came an hour later.
PLAN = (
    ("auth", slice(None)),
    ("database_write", slice(None)),
    ("database_read", slice(None)),
    ("custom_endpoints", slice(0, 63)),
    ("graphql", slice(None)),
    ("storage", slice(None)),
    ("authorization", slice(None)),
    ("storage_authorization", slice(None)),
    ("auth_settings", slice(None)),
    ("storage_local_names", slice(None)),
    ("cache", slice(None)),
    ("graphql_aliases", slice(None)),
    ("router", slice(None)),
    ("custom_endpoints", slice(63, None)),
)
FILES = sorted({name for name, _ in PLAN})
AT_LEAST = defaultdict(lambda: 0.85, router=0.75)

UUID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE
)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
TOKEN = re.compile(
    r"eyJ[\w-]+\.[\w-]+\.[\w-]+|[A-Za-z0-9+/]{86}==|(?:[A-Za-z0-9]|%2F|%2B){86}%3D%3D"
)
SIGNED = re.compile(r"http://localhost:3190/.+[?&]expires=\d+&sig=[0-9a-f]{64}")
LARGE_BODY = re.compile(r"\(JSON of (\d+) MB\)")
COOKIE_TIME = re.compile(r"Expires=[^;]+")
VALUE = re.compile(f"{UUID.pattern}|{TOKEN.pattern}", re.IGNORECASE)


class DisagreementError(Exception):
    """The stand-in's answer is not the recorded one."""


class Clock:
    """Moves only when told to."""

    def __init__(self) -> None:
        self.now = 1_795_328_000.0

    def __call__(self) -> float:
        return self.now


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RECORDINGS / f"{name}.json").read_text())
    return content


def declarations() -> Declarations:
    value = json.loads((HERE / "schemas.json").read_text())
    endpoints = read("custom_endpoint_definitions")["endpoints"]
    return Declarations.from_json({**value, "customEndpoints": endpoints})


@dataclass
class World:
    """The stand-in, and what of the recordings has been bound so far."""

    clock: Clock = field(default_factory=Clock)
    bound: dict[str, str] = field(default_factory=dict)
    refresh_tokens: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        settings = ConduitSettings(
            renew_step_s=0.0, file_server_url="http://localhost:3190"
        )
        ids = random.Random(1)  # noqa: S311 (the same order of ids in every run)
        self.state = ConduitState(
            declarations(),
            settings,
            clock=self.clock,
            new_id=lambda: str(uuid.UUID(int=ids.getrandbits(128), version=4)),
        )
        self.router = _client(create_conduit_app(self.state))
        self.files = _client(create_file_server(self.state))

    async def replay(
        self, exchange: dict[str, Any], recorded_at: float, address: str
    ) -> None:
        """Send the request, compare the answer. Raises: DisagreementError."""
        self.clock.now += 0.037
        request = exchange["request"]
        await self._sign_in_whom_it_names(request, recorded_at)
        self._bind_refresh_token(exchange)
        answer = await self._send(request, address)
        self._compare(exchange["response"], answer, request)

    def forget_tokens(self) -> None:
        """Each topic was recorded with log-ins of its own."""
        for token in [each for each in self.bound if TOKEN.fullmatch(each)]:
            del self.bound[token]

    async def _sign_in_whom_it_names(
        self, request: dict[str, Any], recorded_at: float
    ) -> None:
        """Tokens from a log-in that was not recorded become ones of ours."""
        for token in TOKEN.findall(json.dumps(request)):
            if token in self.bound or not token.startswith("eyJ"):
                continue
            claims = jwt.decode(token, options={"verify_signature": False})
            user = self.bound.get(claims["id"], claims["id"])
            if claims["exp"] < recorded_at:
                secret = self.state.settings.jwt_secret
                expired = {**claims, "id": user, "exp": int(self.clock.now) - 1}
                self.bound[token] = jwt.encode(expired, secret, "HS256")
            else:
                pair = await self.state.tokens.sign_in(user, "anonymous-client")
                self.bound[token] = pair.access_token
                self.refresh_tokens[claims["id"]] = pair.refresh_token

    def _bind_refresh_token(self, exchange: dict[str, Any]) -> None:
        """A refresh token whose log-in was not recorded: the answer tells whose."""
        body = exchange["response"]["body"]
        if isinstance(body, dict) and "accessToken" in body:
            header = exchange["request"].get("headers", {}).get("Authorization", "")
            token = header.removeprefix("Bearer ")
            user = jwt.decode(body["accessToken"], options={"verify_signature": False})
            if token and token not in self.bound:
                self.bound[token] = self.refresh_tokens[user["id"]]

    async def _send(self, request: dict[str, Any], address: str) -> httpx.Response:
        headers = {
            name: self._ours(value)
            for name, value in request.get("headers", {}).items()
        }
        headers["X-Forwarded-For"] = address
        content: bytes | None = None
        if megabytes := LARGE_BODY.fullmatch(request.get("body_raw", "")):
            text = "x" * (int(megabytes[1]) * 1024 * 1024)
            post = {"title": text, "author": self.bound[ALICE]}
            content = json.dumps(post).encode()
        elif "body_raw" in request:
            content = request["body_raw"].encode("latin-1")
        elif "body" in request:
            content = self._ours(json.dumps(request["body"])).encode()
            headers.setdefault("Content-Type", "application/json")
        query = request.get("query", "")
        target = request["path"] + (f"?{query}" if query else "")
        base = request.get("base_url")
        client = self.router if base is None else self.files
        url = "http://localhost:3900" + self._ours(target)
        if base is not None:
            url = self.bound.get(base + target, base + self._ours(target))
        return await client.request(
            request["method"], url, headers=headers, content=content
        )

    def _ours(self, text: str) -> str:
        """The text with every bound value in place of the recorded one."""
        if text in self.bound:
            return self.bound[text]

        def replaced(found: re.Match[str]) -> str:
            value = found[0]
            if value in self.bound:
                return self.bound[value]
            ours = self.bound.get(value.lower(), value)
            return ours.upper() if value != value.lower() else ours

        return VALUE.sub(replaced, text)

    def _compare(
        self,
        recorded: dict[str, Any],
        answer: httpx.Response,
        request: dict[str, Any],
    ) -> None:
        if recorded["status"] != answer.status_code:
            raise DisagreementError(
                f"status {answer.status_code}, recorded {recorded['status']}: "
                f"{answer.text[:200]}"
            )
        self._compare_headers(recorded["headers"], answer.headers)
        body = recorded["body"]
        if request["method"] == "HEAD" or recorded["status"] in (204, 304):
            body = ""
        if isinstance(body, str) and not (answer.content and _is_json(answer)):
            ours = answer.content.decode("utf-8", "replace")
            if recorded["headers"].get("content-type", "").startswith("text/"):
                ours = answer.text
            self._same(body, ours, "body")
        else:
            self._same(body, answer.json(), "body")

    def _compare_headers(
        self, recorded: dict[str, str], headers: httpx.Headers
    ) -> None:
        ours = {name: headers[name] for name in headers}
        ours["set-cookie"] = ", ".join(headers.get_list("set-cookie"))
        chunked = recorded.get("transfer-encoding") == "chunked"
        if chunked and "content-length" in ours:
            raise DisagreementError(f"content-length: {ours}, recorded {recorded}")
        etag = recorded.get("etag", "")
        if etag and "etag" in ours:
            self.bound[etag] = ours["etag"]
        for name in ("cache-control", "x-powered-by", "vary", *recorded):
            if name == "transfer-encoding":
                continue
            if name == "etag":
                wanted = r'W/"[0-9a-f]+-[A-Za-z0-9+/]{27}"'
                if not re.fullmatch(wanted, ours.get("etag", "")):
                    raise DisagreementError(f"etag {ours.get('etag')}")
            else:
                self._same(recorded.get(name, ""), ours.get(name, ""), name)

    def _same(self, recorded: object, ours: object, where: str) -> None:
        """Equal but for values that differ between runs. Raises: DisagreementError."""
        match recorded, ours:
            case dict(), dict():
                if recorded.keys() != ours.keys():
                    raise DisagreementError(
                        f"{where}: {sorted(ours)}, recorded {sorted(recorded)}"
                    )
                for key, value in recorded.items():
                    self._same(value, ours[key], f"{where}.{key}")
                self._same_times(recorded, ours, where)
            case list(), list():
                if len(recorded) != len(ours):
                    raise DisagreementError(
                        f"{where}: {len(ours)} members, recorded {len(recorded)}"
                    )
                for number, (left, right) in enumerate(
                    zip(recorded, ours, strict=True)
                ):
                    self._same(left, right, f"{where}[{number}]")
            case str(), str():
                self._same_text(recorded, ours, where)
            case _:
                if recorded != ours or type(recorded) is not type(ours):
                    raise DisagreementError(f"{where}: {ours!r}, recorded {recorded!r}")

    def _same_times(
        self, recorded: dict[str, Any], ours: dict[str, Any], where: str
    ) -> None:
        """A document changed since its creation there has changed here."""
        if {"createdAt", "updatedAt"} <= recorded.keys():
            there = recorded["createdAt"] == recorded["updatedAt"]
            if there != (ours["createdAt"] == ours["updatedAt"]):
                raise DisagreementError(f"{where}: updatedAt")

    def _same_text(self, recorded: str, ours: str, where: str) -> None:
        if TIME.fullmatch(recorded):
            if not TIME.fullmatch(ours):
                raise DisagreementError(f"{where}: {ours!r} is no time")
            if where.endswith("publishedAt") and recorded != ours:
                raise DisagreementError(f"{where}: {ours!r}, recorded {recorded!r}")
            return
        self._bind(recorded, ours, where)
        left, right = self._ours(recorded), ours
        for pattern in (SIGNED, COOKIE_TIME):
            left, right = pattern.sub("…", left), pattern.sub("…", right)
        if left != right:
            raise DisagreementError(f"{where}: {ours!r}, recorded {recorded!r}")

    def _bind(self, recorded: str, ours: str, where: str) -> None:
        """Take over ids, tokens and addresses that are seen for the first time."""
        for there, here in zip(
            TOKEN.findall(recorded), TOKEN.findall(ours), strict=False
        ):
            self.bound[there] = here  # the same second may give the same token again
        there_ids, here_ids = UUID.findall(recorded), UUID.findall(ours)
        for there, here in zip(there_ids, here_ids, strict=False):
            if there.lower() not in self.bound and here not in self.bound.values():
                self.bound[there.lower()] = here.lower()
        if SIGNED.search(recorded):
            if without_signature(recorded) != without_signature(self._theirs(ours)):
                raise DisagreementError(f"{where}: {ours!r}, recorded {recorded!r}")
            there, here = SIGNED.search(recorded), SIGNED.search(ours)
            if there and here:
                self.bound[there[0]] = here[0]

    def _theirs(self, text: str) -> str:
        ids = {
            here: there for there, here in self.bound.items() if UUID.fullmatch(there)
        }
        return UUID.sub(lambda found: ids.get(found[0], found[0]), text)


def without_signature(url: str) -> str:
    return re.sub(r"expires=\d+&sig=[0-9a-f]{64}", "…", url)


def _client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app))


def _is_json(answer: httpx.Response) -> bool:
    return answer.headers.get("content-type", "").startswith("application/json")


# What happened on the recorded server between two exchanges, before the one named.


def wait(seconds: float) -> Callable[[World], None]:
    def hook(world: World) -> None:
        world.clock.now += seconds

    return hook


def block(blocked: bool) -> Callable[[World], None]:
    def hook(world: World) -> None:
        world.state.block(world.bound[BOB], blocked=blocked)

    return hook


def earlier_run_of_custom_endpoints(world: World) -> None:
    """A post by an endpoint, and the first post published."""
    posts = world.state.collections["Post"]
    posts.insert({"title": "by function", "author": world.bound[ALICE]})
    first = next(each for each in posts.in_order() if each["title"] == "P1 put many")
    posts.patch(first["_id"], {"published": True})


def batches_of_posts(world: World) -> None:
    """Twelve hundred posts by two people in turn, a hundred at a time."""
    authors = itertools.cycle((world.bound[ALICE], world.bound[BOB]))
    for start in range(0, 1200, 100):
        world.clock.now += 0.05
        world.state.collections["Post"].insert_many(
            [
                {"title": f"Batch {number:04}", "author": next(authors)}
                for number in range(start, start + 100)
            ]
        )


def earlier_runs_of_authorization(world: World) -> None:
    """The notes that the recorded list shows from before."""
    listed = read("authorization")["exchanges"][3]["response"]["body"]["documents"]
    for note in listed[:-1]:
        made = world.state.collections["Note"].insert({"text": note["text"]})
        world.bound[note["_id"]] = made["_id"]
        owner = f"User:{world.bound[ALICE]}"
        world.state.relations.own(owner, f"Note:{made['_id']}")


def storage_authorization(on: bool) -> Callable[[World], None]:
    def hook(world: World) -> None:
        world.state.settings.storage_authorization = on

    return hook


HOOKS: dict[tuple[str, int], Callable[[World], None]] = {
    ("custom_endpoints", 0): earlier_run_of_custom_endpoints,
    ("storage", 0): batches_of_posts,
    ("authorization", 0): earlier_runs_of_authorization,
    ("storage_authorization", 0): storage_authorization(True),
    ("auth_settings", 0): storage_authorization(False),
    ("auth_settings", 1): block(True),
    ("auth_settings", 5): block(False),
    ("auth_settings", 8): wait(3),
    ("auth_settings", 11): wait(6),
    ("auth_settings", 16): wait(1),
    ("cache", 11): wait(11),
}


def set_by_administrator(world: World, exchange: dict[str, Any]) -> None:
    """The settings that recordings/auth_settings.json changes."""
    settings, to = world.state.settings, exchange["set_to"]
    if "security" in to:
        settings.client_validation = to["security"]["clientValidation"]
        settings.clients = clients_of(read("auth_settings")["exchanges"])
    if "clients" in to:
        settings.multiple_user_sessions = to["clients"]["multipleUserSessions"]
    if "setCookie" in to.get("accessTokens", {}):
        settings.tokens_in_cookies = to["accessTokens"]["setCookie"]
    if "expiryPeriod" in to.get("accessTokens", {}):
        settings.access_token_s = to["accessTokens"]["expiryPeriod"] / 1000
        settings.refresh_token_s = to["refreshTokens"]["expiryPeriod"] / 1000


def clients_of(exchanges: list[dict[str, Any]]) -> list[Client]:
    """The clients whose secrets were right, as recorded."""
    found = {}
    for each in exchanges:
        headers = each.get("request", {}).get("headers", {})
        if headers.get("clientsecret") and each["response"]["status"] == 200:
            web = "WEB client" in each["note"]
            platform = "WEB" if web else "ANDROID"
            client_id = headers["clientid"]
            found[client_id] = Client(client_id, headers["clientsecret"], platform)
    return list(found.values())


Outcomes = dict[str, dict[int, str | None]]


async def replay_all() -> Outcomes:
    """What disagreed, by file and number; None where nothing did."""
    world = World()
    outcomes: Outcomes = defaultdict(dict)
    for name, part in PLAN:
        recording = read(name)["exchanges"]
        tokens = TOKEN.findall(json.dumps(recording))
        recorded_at = max((issued_at(token) for token in tokens), default=0.0)
        world.forget_tokens()
        address = f"198.51.100.{FILES.index(name)}"
        for number, exchange in list(enumerate(recording))[part]:
            if hook := HOOKS.get((name, number)):
                hook(world)
            if "admin_setting" in exchange:
                set_by_administrator(world, exchange)
            elif "request" in exchange and "response" in exchange:
                try:
                    await world.replay(exchange, recorded_at, address)
                    outcomes[name][number] = None
                except (DisagreementError, KeyError, httpx.HTTPError) as error:
                    outcomes[name][number] = f"{type(error).__name__}: {error}"
            elif "sequence" in exchange:
                outcomes[name][number] = await replay_sequence(world, exchange)
            else:
                outcomes[name][number] = "no answer was recorded"
    return outcomes


async def replay_sequence(world: World, exchange: dict[str, Any]) -> str | None:
    """Many requests of one address within the same second, compared by status."""
    world.clock.now += 1
    signing_in = "log-ins" in exchange["note"]
    statuses = []
    for _ in exchange["sequence"]:
        if signing_in:
            world.clock.now += 0.05
            credentials = {"email": "alice@example.com", "password": "wrong"}
            url = "http://localhost:3900/authentication/local"
            answer = await world.router.post(url, json=credentials)
        else:
            answer = await world.router.get("http://localhost:3900/ready")
        statuses.append(answer.status_code)
    recorded = [each if signing_in else each[0] for each in exchange["sequence"]]
    if statuses != recorded:
        return f"{statuses}, recorded {recorded}"
    last = exchange["last_response"]
    if (last["status"], last["body"]) != (answer.status_code, answer.text):
        return f"{answer.text}, recorded {last}"
    return None


def issued_at(token: str) -> float:
    if not token.startswith("eyJ"):
        return 0.0
    return float(jwt.decode(token, options={"verify_signature": False})["iat"])


@pytest.fixture(scope="module")
def outcomes() -> Outcomes:
    return asyncio.run(replay_all())


@pytest.fixture(scope="module")
def left_out() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((HERE / "left_out.json").read_text())
    return content


@pytest.mark.parametrize("name", FILES)
def test_answers_as_recorded(
    name: str,
    outcomes: Outcomes,
    left_out: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    of_file = outcomes[name]
    reasons = {int(number) for number in left_out["exchanges"].get(name, {})}
    disagreeing = {n: why for n, why in of_file.items() if why and n not in reasons}
    agreeing = [number for number, why in of_file.items() if why is None]
    with capsys.disabled():
        print(f"\n  conduit/{name}: {len(agreeing)} of {len(of_file)} agree", end="")
    assert disagreeing == {}
    assert reasons & set(agreeing) == set(), "left out, but it agrees"
    assert len(agreeing) >= AT_LEAST[name] * len(of_file)


def test_every_recording_is_replayed_or_left_out(left_out: dict[str, Any]) -> None:
    recorded = {path.stem for path in RECORDINGS.glob("*.json")}
    elsewhere = {"admin"}  # test_admin_recordings.py
    assert recorded - set(FILES) - elsewhere == set(left_out["files"])
