"""Where a person is signed in: `ViewerSession`, and the mutation endSession."""

from datetime import UTC, datetime
from typing import Annotated, Final, Self

import strawberry

from resolvers import sessions

from .costs import ListSize
from .datetimes import DateTime
from .fields import mutation
from .info import Info
from .problems import NotFound

# As many as a person may have (`SessionPolicy.max_per_person`).
SESSIONS_SIZE: Final = ListSize(
    assumed_size=50,
    slicing_arguments=[],
    sized_fields=[],
    require_one_slicing_argument=False,
)


@strawberry.type(description="One session of the viewer: a device that is signed in.")
class ViewerSession:
    """Made by `from_info`. No `Node`: it is nothing that others could refer to."""

    id: strawberry.ID = strawberry.field(
        description="For endSession; it opens nothing and says nothing of the session."
    )
    created_at: DateTime = strawberry.field(description="When it was opened.")
    last_used_at: DateTime = strawberry.field(
        description="When it was last used, within five minutes."
    )
    user_agent: str | None = strawberry.field(
        description="What the client called itself when it signed in, as it came; null "
        "if it did not, or signed in at another application."
    )
    current: bool = strawberry.field(description="Whether it is the one that asks.")

    @classmethod
    def from_info(cls, info: sessions.SessionInfo) -> Self:
        """Times become text."""
        return cls(
            id=strawberry.ID(info.id),
            created_at=_date_time(info.created_at),
            last_used_at=_date_time(info.last_used_at),
            user_agent=info.user_agent,
            current=info.is_current,
        )


async def list_sessions(info: Info) -> list[ViewerSession]:
    """What `Viewer.sessions` shows."""
    listed = await sessions.list_sessions(info.context)
    return [ViewerSession.from_info(each) for each in listed]


@strawberry.type(description="The session has ended.")
class EndSessionSuccess:
    """Success of endSession."""

    ended_id: strawberry.ID = strawberry.field(description="The id that was given.")


EndSessionResult = Annotated[
    EndSessionSuccess | NotFound,
    strawberry.union("EndSessionResult", description="What became of endSession."),
]


@strawberry.type
class EndSessionMutation:
    """Root fields."""

    @mutation(
        "Ends one of the viewer's sessions. With the one that asks it does what "
        "signOut does."
    )
    async def end_session(self, info: Info, id: strawberry.ID) -> EndSessionResult:
        """At most three calls."""
        await sessions.end_session(info.context, id)
        return EndSessionSuccess(ended_id=id)


def _date_time(seconds: float) -> DateTime:
    moment = datetime.fromtimestamp(seconds, UTC)
    text = moment.isoformat(timespec="milliseconds")
    return DateTime(text.replace("+00:00", "Z"))
