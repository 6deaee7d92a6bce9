"""TRUSTED_DOCUMENTS holds at the doors of subscriptions too."""

import json
from pathlib import Path

import httpx
from live_harness import NOTES, POSTS, socket
from processes_harness import SIGN_IN, sign_in

from harness import Sandbox, server_process


async def test_only_trusted_subscriptions_run_over_either_protocol(
    sandbox: Sandbox, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"sign-in": SIGN_IN, "notes": NOTES}))
    settings = {
        "TRUSTED_DOCUMENTS": "only",
        "TRUSTED_DOCUMENTS_MANIFESTS": str(manifest),
        "LIMIT_FIELDS": "1",  # trusted documents are exempt
    }
    with server_process(sandbox, **settings) as url:
        device = await sign_in(http, url)
        async with socket(url, device) as line:
            await line.init()
            await line.say(type="subscribe", id="1", payload={"query": POSTS})
            refused = await line.hear()
            assert (refused["type"], refused["id"]) == ("error", "1")
            code = refused["payload"][0]["extensions"]["code"]
            assert code == "DOCUMENT_NOT_TRUSTED"
            await line.say(type="subscribe", id="2", payload={"documentId": "notes"})
            assert await line.silence()
        headers = {**device.headers, "accept": "text/event-stream"}
        answer = await http.post(
            f"{url}/graphql/stream", json={"query": POSTS}, headers=headers
        )
        assert answer.status_code == 403
        assert answer.json()["errors"][0]["extensions"]["code"] == (
            "DOCUMENT_NOT_TRUSTED"
        )
