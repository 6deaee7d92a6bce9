"""The storage module's routes.

Relies on section 6 of conduit.md, with its two families of statuses, and on
recordings/storage.json and storage_authorization.json.
"""

import base64
import re
import uuid

from .declarations import Document, Input
from .failures import ModuleError
from .files import PENDING
from .parameters import BODY, QUERY, URL
from .routes import Call, Handler, Redirect, Route, RouteLimit
from .state import ConduitState
from .values import as_uuid

_ID = Input("id", "String", URL)
_DATA = Input("data", "String", BODY)
_SIZE = Input("size", "Number", BODY, optional=True)
_PUBLIC = Input("isPublic", "Boolean", BODY, optional=True)
_NAMES = tuple(
    Input(name, "String", BODY, optional=True)
    for name in ("name", "alias", "mimeType", "folder", "container")
)
_FLAGS = tuple(
    Input(name, "Boolean", QUERY, optional=True) for name in ("redirect", "download")
)
_SCOPE = Input("scope", "String", QUERY, optional=True)
_WRITE_LIMIT = RouteLimit(requests=60, window_s=3_600.0)
_NOT_IN_BASE64 = re.compile(r"[^A-Za-z0-9+/]")


class Storage:
    """The storage module."""

    def __init__(self, state: ConduitState) -> None:
        self._state = state
        self._files = state.collections["File"]

    def routes(self) -> list[Route]:
        """What it serves; there is no list of files."""
        new = (*_NAMES, _PUBLIC, _SCOPE)
        return [
            _write("POST", "/storage/file", self._create, (_DATA, *new)),
            _write("POST", "/storage/upload", self._create_upload, (_SIZE, *new)),
            _write("PATCH", "/storage/file/:id", self._update, (_ID, _DATA, *_NAMES)),
            _write("PATCH", "/storage/upload/:id", self._upload, (_ID, _SIZE, *_NAMES)),
            Route("GET", "/storage/file/data/:id", self._data, (_ID,)),
            Route("GET", "/storage/file/:id", self._metadata, (_ID,), token="optional"),
            Route(
                "GET",
                "/storage/getFileUrl/:id",
                self._url,
                (_ID, *_FLAGS),
                token="optional",
            ),
            Route("DELETE", "/storage/file/:id", self._delete, (_ID,)),
        ]

    async def _create(self, call: Call) -> object:
        content = decode(call.parameters["data"])
        return self._new(call, content, len(content))

    async def _create_upload(self, call: Call) -> object:
        document = self._new(call, PENDING, call.parameters.get("size"))
        return {
            "file": document,
            "url": self._state.files.upload_url(self._path(document)),
        }

    async def _update(self, call: Call) -> object:
        old = self._find(call, "edit", missing=404, refused=403)
        document = self._change(old, call)
        content = decode(call.parameters["data"])
        self._state.files.put(self._path(document), content)
        return document

    async def _upload(self, call: Call) -> object:
        old = self._find(call, "edit", missing=404, refused=403)
        document = self._change(old, call)
        url = self._state.files.upload_url(self._path(document))
        return {"file": document, "url": url}

    async def _metadata(self, call: Call) -> object:
        return self._find(call, "read", missing=404, refused=403)

    async def _url(self, call: Call) -> object:
        document = self._find(call, "read", missing=500, refused=500, prefixed=True)
        url = document["url"]
        if not document["isPublic"]:
            url = self._state.files.read_url(
                self._path(document),
                document["alias"] or document["name"],
                download=call.parameters.get("download", False),
            )
        if call.parameters.get("redirect", False):
            return Redirect(url)
        return {"result": url}

    async def _data(self, call: Call) -> object:
        document = self._find(call, "read", missing=500, refused=500, prefixed=True)
        content = self._state.files.get(self._path(document)) or b""
        return {"data": base64.b64encode(content).decode()}

    async def _delete(self, call: Call) -> object:
        document = self._find(call, "delete", missing=500, refused=500, prefixed=True)
        self._state.files.delete(self._path(document))
        self._files.delete(document["_id"])
        return {"success": True}

    def _find(
        self,
        call: Call,
        action: str,
        *,
        missing: int,
        refused: int,
        prefixed: bool = False,
    ) -> Document:
        """The file, if the caller may. Raises: ModuleError in the route's family."""
        prefix = "/database.DatabaseProvider/findOne INTERNAL: " if prefixed else ""
        id = as_uuid(call.parameters["id"], prefix)
        document = self._files.get(id)
        if document is None:
            raise ModuleError(missing, "File does not exist")
        if document["isPublic"] and action == "read":
            return document
        if call.caller is None:
            raise ModuleError(refused, "File access is not public")
        user = f"User:{call.user_id}"
        allowed = self._state.relations.allows(user, action, f"File:{id}")
        if self._state.settings.storage_authorization and not allowed:
            raise ModuleError(refused, "You do not have access to file")
        return document

    def _new(self, call: Call, content: bytes, size: int | None) -> Document:
        given = call.parameters
        owner = self._owner(call)
        folder, name = _folder(given.get("folder")), given.get("name")
        container = given.get("container", "conduit")
        name = name or str(uuid.uuid4())
        self._refuse_twin(container, folder, name, None)
        path = self._state.files.path(container, folder, name)
        public = given.get("isPublic", False)
        url = self._state.files.public_url(path) if public else None
        values = {
            "name": name,
            "alias": given.get("alias"),
            "mimeType": given.get("mimeType"),
            "folder": folder,
            "container": container,
            "size": size,
            "isPublic": public,
            "url": url,
            "sourceUrl": url,
        }
        document = self._files.insert(values)
        self._state.files.put(path, content)
        if owner is not None:
            self._state.relations.own(owner, f"File:{document['_id']}")
        return document

    def _owner(self, call: Call) -> str | None:
        """Of a new file: the caller or the scope. Raises: ModuleError (scope).

        The words are those of any document: a file is one (authorization.json).
        """
        if not self._state.settings.storage_authorization:
            return None
        user = f"User:{call.user_id}"
        if (scope := call.parameters.get("scope")) is None:
            return user
        self._state.relations.check_scope(user, "edit", str(scope))
        return str(scope)

    def _change(self, old: Document, call: Call) -> Document:
        """Everything but the bytes; `size` only as an upload claims it."""
        names = ("name", "alias", "mimeType", "container", "size")
        values = {
            name: call.parameters[name] for name in names if name in call.parameters
        }
        if "folder" in call.parameters:
            values["folder"] = _folder(call.parameters["folder"])
        new = {**old, **values}
        self._refuse_twin(new["container"], new["folder"], new["name"], old["_id"])
        path = self._path(new)
        self._state.files.move(self._path(old), path)
        if old["isPublic"]:
            values["url"] = values["sourceUrl"] = self._state.files.public_url(path)
        values.setdefault("name", old["name"])  # an update always touches updatedAt
        return self._files.patch(old["_id"], values) or old

    def _refuse_twin(
        self, container: str, folder: str, name: str, own_id: str | None
    ) -> None:
        for other in self._files.in_order():
            place = (other["container"], other["folder"], other["name"])
            if place == (container, folder, name) and other["_id"] != own_id:
                raise ModuleError(500, "File already exists")

    def _path(self, document: Document) -> str:
        return self._state.files.path(
            document["container"], document["folder"], document["name"]
        )


def decode(text: str) -> bytes:
    """Base64 as Node reads it: foreign letters skipped, the rest cut to whole bytes."""
    letters = text.partition("=")[0].replace("-", "+").replace("_", "/")
    letters = _NOT_IN_BASE64.sub("", letters)
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    return base64.b64decode(letters + "=" * (-len(letters) % 4))


def _folder(given: str | None) -> str:
    """`/` or `a/b/`."""
    parts = [part for part in (given or "").split("/") if part]
    return "/".join(parts) + "/"


def _write(
    method: str, path: str, handler: Handler, inputs: tuple[Input, ...]
) -> Route:
    return Route(method, path, handler, inputs, limit=_WRITE_LIMIT)
