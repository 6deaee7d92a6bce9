"""Everything one Conduit stand-in knows, and the hooks that put data into it.

Made once by `sandbox/__main__.py` or a test and handed to `create_conduit_app` and
`create_file_server`, which share it.
"""

import hashlib
import secrets
import time
import uuid
from collections.abc import Callable

from .collection import Collection
from .declarations import Declarations, Document
from .files import FileBytes
from .relations import Relations
from .settings import ConduitSettings
from .system import file_schema, new_user, team_schema, user_schema
from .tokens import Tokens


class ConduitState:
    """Settings, declarations, documents, tokens, file contents."""

    def __init__(
        self,
        declarations: Declarations,
        settings: ConduitSettings | None = None,
        *,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self.settings = settings or ConduitSettings()
        self.clock = clock
        self.new_id = new_id
        self.system_schemas = (user_schema(), file_schema(), team_schema())
        schemas = (*self.system_schemas, *declarations.schemas)
        self.collections = {
            each.name: Collection(each, clock, new_id) for each in schemas
        }
        # What the router knows, then what it has yet to learn and when.
        self._published = [(0.0, declarations)]
        self.relations = Relations()
        self.tokens = Tokens(self.settings, clock)
        self.files = FileBytes(self.settings, clock)
        self._passwords: dict[str, tuple[bytes, bytes]] = {}

    @property
    def declared(self) -> Declarations:
        """What an administrator has set up, routed or not."""
        return self._published[-1][1]

    def declare(self, declarations: Declarations) -> None:
        """Change what is set up; the router learns of it `route_delay_s` later.

        Documents of a schema that is no longer declared stay where they are.
        """
        for schema in declarations.schemas:
            if (existing := self.collections.get(schema.name)) is not None:
                existing.alter(schema)
            else:
                collection = Collection(schema, self.clock, self.new_id)
                self.collections[schema.name] = collection
        routed_at = self.clock() + self.settings.route_delay_s
        self._published.append((routed_at, declarations))

    def routed(self) -> Declarations:
        """What the router has learnt by now."""
        while len(self._published) > 1 and self._published[1][0] <= self.clock():
            del self._published[0]
        return self._published[0][1]

    @property
    def users(self) -> Collection:
        """The User collection."""
        return self.collections["User"]

    @property
    def teams(self) -> Collection:
        """The Team collection."""
        return self.collections["Team"]

    def add_user(
        self,
        email: str,
        password: str,
        username: str | None = None,
        *,
        id: str | None = None,
    ) -> Document:
        """A person who can sign in."""
        user = self.users.insert(new_user(email.lower(), username), id)
        salt = secrets.token_bytes(8)
        self._passwords[user["_id"]] = (salt, _digest(salt, password))
        return user

    def add_document(
        self,
        schema: str,
        values: Document,
        *,
        id: str | None = None,
        created_at: str | None = None,
    ) -> Document:
        """A document of a declared schema. Raises: ModuleError."""
        document = self.collections[schema].insert(values, id)
        return _dated(document, created_at)

    def add_post(
        self,
        title: str,
        author: str,
        *,
        body: str | None = None,
        cover_file: str | None = None,
        id: str | None = None,
        created_at: str | None = None,
    ) -> Document:
        """A Post of conduit-init.json; `created_at` as in answers, ending in Z."""
        values = {"title": title, "author": author, "body": body}
        values["coverFile"] = cover_file
        return self.add_document("Post", values, id=id, created_at=created_at)

    def add_file(
        self,
        name: str,
        content: bytes,
        *,
        mime_type: str | None = None,
        folder: str = "/",
        container: str = "conduit",
        is_public: bool = False,
        owner: str | None = None,
        id: str | None = None,
        created_at: str | None = None,
    ) -> Document:
        """A file with its bytes."""
        path = self.files.path(container, folder, name)
        self.files.put(path, content)
        url = self.files.public_url(path) if is_public else None
        values = {
            "name": name,
            "folder": folder,
            "container": container,
            "mimeType": mime_type,
            "size": len(content),
            "isPublic": is_public,
            "url": url,
            "sourceUrl": url,
        }
        document = self.collections["File"].insert(values, id)
        if owner is not None:
            self.relations.own(f"User:{owner}", f"File:{document['_id']}")
        return _dated(document, created_at)

    def user_with_email(self, email: str) -> Document | None:
        """The person with an e-mail address, in any case of letters."""
        wanted = email.lower()
        for user in self.users.in_order():
            if user["email"] == wanted:
                return user
        return None

    def password_fits(self, user: Document, password: str) -> bool:
        """Whether it is the one given at sign-up."""
        salt, digest = self._passwords[user["_id"]]
        return secrets.compare_digest(digest, _digest(salt, password))

    def block(self, user_id: str, *, blocked: bool = True) -> None:
        """Block or unblock a person, as an administrator can."""
        self.users.patch(user_id, {"active": not blocked})


def _digest(salt: bytes, password: str) -> bytes:
    """Cheap on purpose: these passwords are public."""
    return hashlib.sha256(salt + password.encode()).digest()


def _dated(document: Document, moment: str | None) -> Document:
    if moment is not None:
        document["createdAt"] = document["updatedAt"] = moment
    return document
