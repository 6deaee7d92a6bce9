"""Conduit's Admin API, as far as provisioning needs it.

Used by `command.py` and `apply.py`. Reads, creates and changes; there is no way to
delete in here. Relies on section 13 of conduit.md and on recordings/admin.json: both
the master key and a token on every call, refusals in three shapes, and conflicts told
apart from other failures by their text alone.
"""

import re
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import httpx

from .access import Access
from .records import Json
from .steps import Found, Kind

PAGE = 100
READS_OF_A_LIST = 3
PATHS: Mapping[Kind, str] = {
    "schema": "/database/schemas",
    "endpoint": "/database/customEndpoints",
}
LISTS: Mapping[Kind, str] = {"schema": "schemas", "endpoint": "customEndpoints"}
NAME_IN_USE = re.compile(r"name is already in use|already exists")
MIXED_UP = (
    "That is not the Admin API. CONDUIT_ADMIN_URL must be its own port (default 3030), "
    "not the client API's (default 3000)."
)


class AdminError(Exception):
    """The Admin API could not be used, or refused; the text is for the operator."""


class NameInUseError(AdminError):
    """A create met something of that name."""


class AdminAPI:
    """One sign-in to one Admin API; enter it, then use it."""

    def __init__(
        self, access: Access, tls: ssl.SSLContext, *, timeout_s: float
    ) -> None:
        self._access = access
        self._timeout_s = timeout_s
        self._http = httpx.AsyncClient(
            base_url=access.admin_url,
            headers={"masterkey": access.master_key},
            timeout=timeout_s,
            trust_env=False,
            verify=tls,
        )

    async def __aenter__(self) -> Self:
        try:
            await self._sign_in()
        except BaseException:
            await self._http.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def modules(self) -> dict[str, bool]:
        """`GET /config/modules`: whether each serves. Raises: AdminError."""
        answer = await self._call("GET", "/config/modules")
        return {
            str(each["moduleName"]): each.get("serving") is True
            for each in _members(answer, "modules")
        }

    async def router_address(self) -> str | None:
        """`GET /config/router`: where the client API says it is. Raises: AdminError."""
        config = (await self._call("GET", "/config/router")).get("config")
        address = config.get("hostUrl") if isinstance(config, dict) else None
        return address.rstrip("/") if isinstance(address, str) and address else None

    async def found(self) -> Found:
        """All schemas and custom endpoints. Raises: AdminError."""
        return Found(
            {str(each.get("name")): each for each in await self._all("schema")},
            {str(each.get("name")): each for each in await self._all("endpoint")},
        )

    async def create(self, kind: Kind, name: str, body: Json) -> None:
        """`POST`. Raises: NameInUseError, AdminError."""
        await self._call("POST", PATHS[kind], body, about=f"creating {kind} {name}")

    async def change(self, kind: Kind, name: str, id: str, body: Json) -> None:
        """`PATCH`; its answer can show the state from before. Raises: AdminError."""
        path = f"{PATHS[kind]}/{id}"
        await self._call("PATCH", path, body, about=f"changing {kind} {name}")

    async def _sign_in(self) -> None:
        who = {"username": self._access.user, "password": self._access.password}
        token = (await self._call("POST", "/login", who, about="log-in")).get("token")
        if not isinstance(token, str) or not token:
            raise AdminError(f"{self._origin} gave no token at log-in. {MIXED_UP}")
        self._http.headers["Authorization"] = f"Bearer {token}"

    async def _all(self, kind: Kind) -> list[Json]:
        """A whole list. Pages are not of one snapshot, so `count` must fit."""
        for _ in range(READS_OF_A_LIST):
            found: dict[object, Json] = {}
            skip, count = 0, 1
            while skip < count:
                query = f"?skip={skip}&limit={PAGE}"
                query += "&sort=name" if kind == "schema" else ""
                answer = await self._call("GET", PATHS[kind] + query)
                page = _members(answer, LISTS[kind])
                count = _count(answer)
                found |= {each.get("_id"): each for each in page}
                skip += len(page)
                if not page:
                    break
            if len(found) == count:
                return list(found.values())
        raise AdminError(
            f"The list of {LISTS[kind]} does not add up ({len(found)} read, {count} "
            "counted): somebody else is changing it. Run this again."
        )

    async def _call(
        self, method: str, path: str, body: Json | None = None, *, about: str = ""
    ) -> Json:
        """One call. Raises: AdminError with what to do about it."""
        about = about or f"{method} {path.partition('?')[0]}"
        try:
            answer = await self._http.request(method, path, json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            text = f"Nothing answers at {self._origin} ({error!r})."
            raise AdminError(f"{text} Is CONDUIT_ADMIN_URL right?") from None
        except httpx.TimeoutException:
            text = (
                f"{self._origin} gave no answer within {self._timeout_s:g} s: {about}."
            )
            raise AdminError(text + _unknown(method)) from None
        except httpx.HTTPError as error:
            text = f"The connection to {self._origin} failed: {about} ({error!r})."
            raise AdminError(text + _unknown(method)) from None
        return self._read(answer, about)

    def _read(self, answer: httpx.Response, about: str) -> Json:
        body = json_of(answer)
        status = answer.status_code
        if answer.is_success and isinstance(body, dict):
            return body
        if 300 <= status < 400:
            raise AdminError(
                f"{self._origin} answers with a redirect ({status}); CONDUIT_ADMIN_URL "
                "must be the address itself (https instead of http?)."
            )
        if not isinstance(body, dict):
            raise AdminError(
                f"{self._origin} answers {status} without JSON: {about}. {MIXED_UP}"
            )
        text = str(body.get("message") or body.get("error") or "")[:300]
        if status == 401:
            raise AdminError(f"{self._origin} answers 401, {text!r}. {_cause(text)}")
        if status == 404 and text == "Not found":
            text = "a module is still starting; run this again in a moment"
        kind = NameInUseError if NAME_IN_USE.search(text) else AdminError
        raise kind(f"Conduit answers {status} when {about}: {text}")

    @property
    def _origin(self) -> str:
        return self._access.admin_url


def json_of(answer: httpx.Response) -> object:
    """The body's JSON, or None."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/json":
        return None
    try:
        value: object = answer.json()
    except ValueError:
        return None
    return value


def _members(answer: Json, name: str) -> list[Json]:
    found = answer.get(name)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise AdminError(f"The Admin API's answer has no list {name!r}.")
    return found


def _count(answer: Json) -> int:
    count = answer.get("count")
    if not isinstance(count, int):
        raise AdminError("The Admin API's list has no count.")
    return count


def _cause(text: str) -> str:
    """Which credential a 401 is about (recordings/admin.json)."""
    if text == "Unauthorized":
        return "CONDUIT_MASTER_KEY is not this Conduit's."
    if text == "Invalid username/password":
        return "CONDUIT_ADMIN_USER or CONDUIT_ADMIN_PASSWORD is wrong."
    return "The token was not accepted; run this again."


def _unknown(method: str) -> str:
    if method == "GET":
        return ""
    return " Whether it was done is unknown; --check tells."
