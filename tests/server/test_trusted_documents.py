"""Trusted documents and automatic persisted queries."""

import asyncio
import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from harness import Caller, Sandbox, caller_of, running_app
from server.graphql_request import GraphQLRequest, from_parameters
from server.manifests import ManifestError, read_manifests
from server.refusals import RefusalError
from server.settings import Settings, SettingsError
from server.trusted_documents import LONGEST_KEPT, Documents, TrustSettings

TEXT = "query Hello { __typename }"
OTHER = "{ viewer { id } }"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def by_hash(text: str) -> dict[str, Any]:
    return {"persistedQuery": {"version": 1, "sha256Hash": digest(text)}}


APOLLO = {
    "format": "apollo-persisted-query-manifest",
    "version": 1,
    "operations": [
        {"id": digest(TEXT), "name": "Hello", "type": "query", "body": TEXT}
    ],
}
RELAY = {hashlib.md5(TEXT.encode()).hexdigest(): TEXT}  # noqa: S324
CODEGEN = {hashlib.sha1(TEXT.encode()).hexdigest(): TEXT}  # noqa: S324


def documents(
    tmp_path: Path, content: object = APOLLO, mode: Any = "only", **more: Any
) -> Documents:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(content))
    settings = {"mode": mode, "manifests": (path,), "poll_s": 0.02, "kept": 2}
    found = Documents(TrustSettings(**{**settings, **more}))
    found.load()
    return found


def asking(**parameters: object) -> GraphQLRequest:
    return from_parameters(parameters)


@pytest.mark.parametrize("manifest", [APOLLO, RELAY, CODEGEN])
def test_a_document_runs_by_the_id_of_each_kind_of_manifest(
    tmp_path: Path, manifest: dict[str, Any]
) -> None:
    trusted = documents(tmp_path, manifest)
    name = next(iter(read_manifests([tmp_path / "manifest.json"])))
    resolved = trusted.resolve(asking(documentId=name))
    assert (resolved.query, resolved.trusted) == (TEXT, True)


def test_a_document_runs_by_apollos_hash_and_by_its_own_text(tmp_path: Path) -> None:
    trusted = documents(tmp_path)
    assert trusted.resolve(asking(extensions=by_hash(TEXT))).query == TEXT
    assert trusted.resolve(asking(query=TEXT)).trusted


@pytest.mark.parametrize(
    "parameters",
    [
        {"query": OTHER},
        {"query": TEXT + " "},
        {"documentId": "unknown"},
        {"extensions": by_hash(OTHER)},
        {"query": OTHER, "extensions": by_hash(OTHER)},
    ],
)
def test_with_only_nothing_else_runs(
    tmp_path: Path, parameters: dict[str, object]
) -> None:
    with pytest.raises(RefusalError) as refused:
        documents(tmp_path).resolve(asking(**parameters))
    assert refused.value.code == "DOCUMENT_NOT_TRUSTED"


def test_a_trusted_id_beats_the_text_that_is_sent_with_it(tmp_path: Path) -> None:
    resolved = documents(tmp_path).resolve(asking(query=OTHER, documentId=digest(TEXT)))
    assert resolved.query == TEXT


@pytest.mark.parametrize("mode", ["log", "prefer"])
def test_what_no_manifest_holds_is_logged_and_runs(
    tmp_path: Path, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "mainstem.documents"):
        resolved = documents(tmp_path, mode=mode).resolve(asking(query=OTHER))
    assert (resolved.query, resolved.trusted) == (OTHER, False)
    assert digest(OTHER) in caplog.text


def test_the_store_of_persisted_queries_is_bounded(tmp_path: Path) -> None:
    store = documents(tmp_path, mode="off")
    texts = [f"{{ a{n}: __typename }}" for n in range(3)]
    for text in texts:
        assert store.resolve(asking(query=text, extensions=by_hash(text))).query == text
    assert store.resolve(asking(extensions=by_hash(texts[2]))).query == texts[2]
    with pytest.raises(RefusalError) as refused:
        store.resolve(asking(extensions=by_hash(texts[0])))
    assert refused.value.code == "PERSISTED_QUERY_NOT_FOUND"
    long = "{ __typename } #" + "x" * LONGEST_KEPT
    store.resolve(asking(query=long, extensions=by_hash(long)))
    with pytest.raises(RefusalError):
        store.resolve(asking(extensions=by_hash(long)))


@pytest.mark.parametrize(
    "extensions",
    [
        by_hash(OTHER),
        {"persistedQuery": {}},
        {"persistedQuery": {"sha256Hash": 7}},
        {"persistedQuery": {"sha256Hash": "x" * 1000}},
        {"persistedQuery": "x"},
    ],
)
def test_a_hash_that_is_not_the_texts_stores_nothing(
    tmp_path: Path, extensions: dict[str, object]
) -> None:
    store = documents(tmp_path, mode="off")
    with pytest.raises(RefusalError) as refused:
        store.resolve(asking(query=TEXT + " ", extensions=extensions))
    assert refused.value.status == 400
    with pytest.raises(RefusalError):
        store.resolve(asking(extensions=by_hash(OTHER)))


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{",
        '{"a": 1}',
        '{"a": " "}',
        '{"": "{ a }"}',
        '{"format": "apollo-persisted-query-manifest", "version": 2, "operations": []}',
        '{"format": "apollo-persisted-query-manifest", "version": 1}',
        '{"format": "apollo-persisted-query-manifest", "version": 1, "operations":'
        ' [{"body": "{ a }"}]}',
    ],
)
def test_a_broken_manifest_stops_the_start(
    tmp_path: Path, environment: dict[str, str], content: str
) -> None:
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(ManifestError, match=r"broken\.json"):
        read_manifests([path])
    more = {"TRUSTED_DOCUMENTS_MANIFESTS": str(path), "TRUSTED_DOCUMENTS": "only"}
    with pytest.raises(SettingsError, match=r"broken\.json"):
        Settings.from_env({**environment, **more})


def test_a_mode_without_a_manifest_stops_the_start(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="TRUSTED_DOCUMENTS_MANIFESTS"):
        Settings.from_env({**environment, "TRUSTED_DOCUMENTS": "only"})


async def test_a_new_manifest_takes_over_without_a_lost_request(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"one": TEXT}))
    more = {
        "TRUSTED_DOCUMENTS": "only",
        "TRUSTED_DOCUMENTS_MANIFESTS": str(path),
        "TRUSTED_DOCUMENTS_POLL_S": "0.02",
    }
    async with running_app(sandbox.environment | more) as app, caller_of(app) as caller:
        stop = asyncio.Event()
        asked = asyncio.create_task(keep_asking(caller, stop))
        path.write_text('{"one": "half wri')  # a writer that is not done yet
        await asyncio.sleep(0.1)
        path.write_text(json.dumps({"one": TEXT, "two": OTHER}))
        answer: dict[str, Any] = {}
        for _ in range(100):
            answer = (await caller.post({"documentId": "two"})).json()
            if "data" in answer:
                break
            await asyncio.sleep(0.02)
        stop.set()
        assert answer == {"data": {"viewer": None}}
        assert await asked > 10


async def keep_asking(caller: Caller, stop: asyncio.Event) -> int:
    """Ask by id until told to stop; every answer must be whole."""
    count = 0
    while not stop.is_set():
        answer = await caller.post({"documentId": "one"})
        assert answer.json() == {"data": {"__typename": "Query"}}
        count += 1
        await asyncio.sleep(0)  # over ASGI an answer may come without a pause
    return count


async def test_preferred_documents_are_exempt_from_the_limits_of_documents(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    wide = "{" + "".join(f"a{n}: __typename " for n in range(101)) + "}"
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"wide": wide}))
    more = {"TRUSTED_DOCUMENTS": "prefer", "TRUSTED_DOCUMENTS_MANIFESTS": str(path)}
    async with running_app(sandbox.environment | more) as app, caller_of(app) as caller:
        answer = (await caller.post({"documentId": "wide"})).json()
        assert len(answer["data"]) == 101
        answer = await caller(wide.replace("a0", "b0"))
        assert answer["errors"][0]["extensions"]["code"] == "QUERY_TOO_COMPLEX"


async def test_apollos_client_finds_its_way(anonymous: Caller) -> None:
    unknown = await anonymous.post({"extensions": by_hash(TEXT)})
    assert unknown.status_code == 200
    error = unknown.json()["errors"][0]
    assert error["message"] == "PersistedQueryNotFound"
    assert error["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
    full = await anonymous.post({"query": TEXT, "extensions": by_hash(TEXT)})
    assert full.json() == {"data": {"__typename": "Query"}}
    parameters = {"extensions": json.dumps(by_hash(TEXT))}
    again = await anonymous.http.get("/graphql", params=parameters)
    assert again.json() == {"data": {"__typename": "Query"}}
