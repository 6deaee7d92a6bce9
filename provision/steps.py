"""What a comparison is made of: the steps of a plan, and what was found.

Made by `plan.py` and the two modules that it calls; read by `apply.py`, `report.py`
and `command.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from .records import Json

Kind = Literal["schema", "endpoint"]
Status = Literal["present", "missing", "differs", "blocked"]


@dataclass(frozen=True, slots=True)
class Found:
    """What the Admin API lists, by name."""

    schemas: Mapping[str, Json]
    endpoints: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Step:
    """One schema or endpoint: how it stands, and what would be sent.

    `details` say what differs or stands in the way; `notes` what is only worth
    knowing; `route` is the path at which the client API answers a GET, if it does.
    `id` and `body` are those of the change, `body` alone that of the create.
    """

    kind: Kind
    name: str
    status: Status
    details: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    id: str | None = None
    body: Json | None = None
    route: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All steps, in the order in which they can be done."""

    steps: tuple[Step, ...]

    def with_status(self, *statuses: Status) -> tuple[Step, ...]:
        """Some of the steps."""
        return tuple(step for step in self.steps if step.status in statuses)

    @property
    def changes(self) -> tuple[Step, ...]:
        """What `--apply` would do."""
        return self.with_status("missing", "differs")

    @property
    def in_order(self) -> bool:
        """Whether everything declared is there."""
        return all(step.status == "present" for step in self.steps)


def same_but_for_case(name: str, taken: Mapping[str, Json]) -> Iterator[str]:
    """The router finds a route in any case, then looks its name up in exact case."""
    for other in taken:
        if other != name and other.casefold() == name.casefold():
            yield f"{other} exists, which differs only in case"
