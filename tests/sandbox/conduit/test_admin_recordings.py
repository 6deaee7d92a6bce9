"""The recorded exchanges with a real Admin API, replayed against the stand-in.

Status, content type and body are compared; ids are bound when first seen and must
agree from then on, times need only be times. `left_out.json` says what is not claimed.
"""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.conduit import (
    ConduitSettings,
    ConduitState,
    Declarations,
    create_admin_app,
)

HERE = Path(__file__).parent
RECORDING = HERE.parents[1] / "recordings" / "conduit" / "admin.json"
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
CUT = re.compile(r"<cut>|127\.0\.0\.1:\d+")

Outcomes = dict[int, str | None]


class Replay:
    """The stand-in, and what stands here for what stood there."""

    def __init__(self) -> None:
        settings = ConduitSettings(host_url="http://localhost:3900")
        schemas = json.loads((HERE / "schemas.json").read_text())
        state = ConduitState(Declarations.from_json(schemas), settings)
        transport = httpx.ASGITransport(create_admin_app(state))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://admin")
        self.bound = {
            "<masterkey>": settings.admin_master_key,
            "<password>": settings.admin_password,
        }

    async def run(self, exchange: dict[str, Any]) -> str | None:
        """How the answer differs from the recorded one, if it does."""
        text = json.dumps(exchange["request"])
        if exchange["note"] == "wrong password":  # left out of the recording like all
            text = text.replace("<password>", "wrong")
        request = json.loads(self._ours(text))
        answer = await self.http.request(
            request["method"],
            f"{request['path']}?{request['query']}",
            headers=request.get("headers", {}),
            json=request.get("body"),
        )
        recorded = exchange["response"]
        kind = answer.headers["content-type"]
        if (answer.status_code, kind) != (
            recorded["status"],
            recorded["headers"]["content-type"],
        ):
            return f"{answer.status_code} {kind}: {answer.text[:200]}"
        is_json = kind.startswith("application/json")
        body = answer.json() if is_json else answer.text
        if request["path"] == "/login" and answer.is_success:
            self.bound["<admin token>"] = body["token"]
        return self._difference(recorded["body"], body, "body")

    def _ours(self, text: str) -> str:
        for there, here in self.bound.items():
            text = text.replace(there, here)
        return text

    def _difference(self, recorded: Any, ours: Any, where: str) -> str | None:
        if isinstance(recorded, dict) and isinstance(ours, dict):
            if recorded.keys() != ours.keys():
                return f"{where}: {sorted(ours)}, recorded {sorted(recorded)}"
            pairs = [(recorded[key], ours[key], f"{where}.{key}") for key in recorded]
        elif isinstance(recorded, list) and isinstance(ours, list):
            if recorded and recorded[-1] == f"<{len(ours) - len(recorded) + 1} more>":
                recorded, ours = recorded[:-1], ours[: len(recorded) - 1]
            if len(recorded) != len(ours):
                return f"{where}: {len(ours)} members, recorded {len(recorded)}"
            pairs = [
                (left, right, f"{where}[{number}]")
                for number, (left, right) in enumerate(zip(recorded, ours, strict=True))
            ]
        else:
            return self._leaf_difference(recorded, ours, where)
        found = (self._difference(*pair) for pair in pairs)
        return next((each for each in found if each is not None), None)

    def _leaf_difference(self, recorded: Any, ours: Any, where: str) -> str | None:
        if isinstance(recorded, str) and isinstance(ours, str):
            if CUT.fullmatch(recorded) or (
                TIME.fullmatch(recorded) and TIME.fullmatch(ours)
            ):
                return None
            if UUID.fullmatch(recorded) and UUID.fullmatch(ours):
                recorded = self.bound.setdefault(recorded, ours)
        same = recorded == ours and type(recorded) is type(ours)
        return None if same else f"{where}: {ours!r}, recorded {recorded!r}"


async def replay_all() -> Outcomes:
    replay = Replay()
    exchanges = json.loads(RECORDING.read_text())["exchanges"]
    async with replay.http:
        return {
            number: await replay.run(exchange)
            for number, exchange in enumerate(exchanges)
        }


def test_answers_as_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = asyncio.run(replay_all())
    left_out = json.loads((HERE / "left_out.json").read_text())
    reasons = {int(number) for number in left_out["exchanges"]["admin"]}
    agreeing = {number for number, why in outcomes.items() if why is None}
    with capsys.disabled():
        print(f"\n  conduit/admin: {len(agreeing)} of {len(outcomes)} agree", end="")
    disagreeing = {n: why for n, why in outcomes.items() if why and n not in reasons}
    assert disagreeing == {}
    assert reasons & agreeing == set(), "left out, but it agrees"
    assert len(agreeing) >= 25
