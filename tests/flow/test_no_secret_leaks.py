"""No token and no storage address in any body, header, log line or page.

Everything that the app says during a whole visit is collected and searched for every
token that the stand-ins gave out and for every address that they listen on.
"""

import json
import logging

import httpx
import pytest
import redis

from harness import Caller, Sandbox

VISIT = (
    "{ viewer { id email username user { id } } }",
    "{ posts { nodes { author { username } coverFile { name previewUrl data } } } }",
    "{ files { nodes { name previewUrl(download: true) } } }",
    "{ notes { nodes { body post { title } } pageInfo { endCursor } } }",
    "{ nothing }",
    '{ note(id: "00000000-0000-4000-8000-000000000001") { body } }',
    "{ __schema { types { name } } }",
)


async def test_a_whole_visit_shows_no_token_and_no_storage_address(
    anonymous: Caller, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said: list[str] = []

    async def collect(response: httpx.Response) -> None:
        await response.aread()
        said.append(str(response.headers))
        said.append(response.content.decode("utf-8", "replace"))

    anonymous.http.event_hooks["response"].append(collect)
    await anonymous.sign_in("first")
    secrets = tokens_in_the_vault(sandbox)
    for query in VISIT:
        await anonymous(query)
    sandbox.fail("conduit", "/database/Post", status=500, body={"message": "x"})
    await anonymous(VISIT[1])
    sandbox.heal()
    files = await anonymous.data("{ files(first: 5) { nodes { previewUrl } } }")
    for file in files["files"]["nodes"]:
        assert (await anonymous.http.get(file["previewUrl"])).status_code == 200
    for page in ("/graphql", "/schema.graphql", "/health/ready"):
        await anonymous.http.get(page, headers={"accept": "text/html,*/*"})
    secrets |= tokens_in_the_vault(sandbox)
    await anonymous.data("mutation { signOut { ok } }")

    said += [
        json.dumps(record.__dict__, default=str)
        for record in caplog.records
        # httpcore and asyncio speak of our own sockets at DEBUG; off in operation.
        if record.name.split(".")[0] not in {"httpcore", "httpx", "asyncio"}
    ]
    assert len(secrets) >= 2
    addresses = {url.removeprefix("http://") for url in (sandbox.flux, sandbox.files)}
    addresses |= {sandbox.conduit.removeprefix("http://"), "sig=", "expires="}
    everything = "\n".join(said)
    assert len(everything) > 10_000
    assert [each for each in secrets | addresses if each in everything] == []


def tokens_in_the_vault(sandbox: Sandbox) -> set[str]:
    vault = redis.Redis.from_url(sandbox.redis)
    found: set[str] = set()
    for key in vault.scan_iter("vault:*"):
        record = json.loads(vault.get(key) or b"{}")
        found |= {
            value for name, value in record.items() if name.lower().endswith("token")
        }
    vault.close()
    return found
