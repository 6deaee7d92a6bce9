"""`OwnConduit`: a Conduit stand-in in the test's own process, its state at hand.

Made by `tests/flow/conftest.py`; test files import its type from here.
"""

from dataclasses import dataclass, replace
from typing import Any

from harness import PASSWORD
from sandbox.conduit import ConduitState
from sandbox.conduit.declarations import schema_from
from sandbox.faults import Fault, FaultyUpstream


@dataclass(slots=True)
class OwnConduit:
    """Where it answers, what it knows, and what reached it."""

    url: str
    files: str
    state: ConduitState
    faulty: FaultyUpstream
    storage: FaultyUpstream

    @property
    def environment(self) -> dict[str, str]:
        """The settings that lead a server here."""
        return {
            "CLIENT_BASE_URL": self.url,
            "STORAGE_HOSTS": self.files.removeprefix("http://"),
        }

    def join(self, name: str) -> str:
        """The id of the person with that name, new if need be."""
        email = f"{name}@example.com"
        known = self.state.user_with_email(email)
        person = known or self.state.add_user(email, PASSWORD, name)
        return str(person["_id"])

    def fail(self, path: str, **fault: Any) -> None:
        """Put a fault in force; fields as in sandbox/faults.py."""
        self.faulty.faults.add(Fault(path=path, **fault))

    def fail_storage(self, **fault: Any) -> None:
        """The same at the storage host: bytes that come or go."""
        self.storage.faults.add(Fault(path="/", **fault))

    def heal(self) -> None:
        """Take all faults away."""
        self.faulty.faults.clear()
        self.storage.faults.clear()

    def calls(self) -> list[tuple[str, str]]:
        """(method, path) of what reached it since `forget`."""
        return [(each.method, each.path) for each in self.faulty.requests]

    def forget(self) -> None:
        """Start counting anew."""
        self.faulty.requests.clear()
        self.storage.requests.clear()

    def stored(self) -> dict[str, bytes | None]:
        """The bytes of all files that there is a record of, by name."""
        return {
            file["name"]: self.state.files.get(
                self.state.files.path(file["container"], file["folder"], file["name"])
            )
            for file in self.state.collections["File"].in_order()
        }

    def posts(self) -> list[dict[str, Any]]:
        """All posts as they are stored."""
        return self.state.collections["Post"].in_order(("createdAt",))

    def take_away(self, *endpoints: str) -> None:
        """As if these custom endpoints had never been provisioned."""
        declared = self.state.declared
        kept = tuple(e for e in declared.endpoints if e.name not in endpoints)
        self.state.declare(replace(declared, endpoints=kept))

    def make_plain(self, name: str) -> None:
        """As in the guide: neither pages nor an order."""
        declared = self.state.declared
        endpoints = tuple(
            replace(each, paginated=False, sorted=False) if each.name == name else each
            for each in declared.endpoints
        )
        self.state.declare(replace(declared, endpoints=endpoints))

    def guard_posts(self) -> None:
        """Switch row-level authorization on for posts."""
        declared = self.state.declared
        (post,) = declared.schemas
        source = post.source
        options = {**source["conduitOptions"], "authorization": {"enabled": True}}
        guarded = schema_from({**source, "conduitOptions": options})
        self.state.declare(replace(declared, schemas=(guarded,)))

    def declare_title_unique(self) -> None:
        """As an administrator may: no two posts with one title."""
        self.change_post("title", unique=True)

    def change_post(self, name: str, **options: object) -> None:
        """Change a field of the schema, as an administrator may."""
        fields = self._post_fields()
        self._declare_post({**fields, name: {**fields[name], **options}})

    def take_from_post(self, name: str) -> None:
        """As if the schema had never had this field."""
        fields = self._post_fields()
        self._declare_post({key: fields[key] for key in fields if key != name})

    def _post_fields(self) -> dict[str, Any]:
        (post,) = self.state.declared.schemas
        return dict(post.source["fields"])

    def _declare_post(self, fields: dict[str, Any]) -> None:
        (post,) = self.state.declared.schemas
        schema = schema_from({**post.source, "fields": fields})
        self.state.declare(replace(self.state.declared, schemas=(schema,)))
