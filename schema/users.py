"""People: `Viewer` and `User`, and the mutations signUp, signIn, signOut."""

from enum import Enum
from typing import Annotated

import strawberry
from strawberry import Parent

from clients.conduit.records import ConduitUser, ConduitViewer
from clients.errors import NotAuthenticatedError
from resolvers import users
from resolvers.post_pages import PostConditions

from .connections import After, Before, First, Last, page_request, paged
from .costs import Cost
from .fields import column, field, mutation, record_type, shown
from .info import Info
from .node import Node, global_id_of
from .notes import NoteConnection, NoteOrderArgument, list_notes
from .posts import PostConnection, PostOrderArgument, list_posts
from .problems import Conflict, InvalidCredentials, InvalidInput
from .sessions import SESSIONS_SIZE, ViewerSession, list_sessions


@record_type(
    ConduitUser,
    "What others may see of a person: never an e-mail address, never a "
    "provider's token.",
)
class User(Node):
    """Reads a document of Conduit."""

    id: strawberry.ID = global_id_of("User")
    database_id: strawberry.ID = column(
        "id", "The upstream's own id, for use outside this graph."
    )
    username: str | None = column("username", "The name they chose; null if none.")

    @field("Posts written by this person.", paged(forward_only=True), Cost(weight="10"))
    @staticmethod
    def posts(
        user: Parent[ConduitUser],
        info: Info,
        first: First = None,
        after: After = None,
        order_by: PostOrderArgument = None,
    ) -> PostConnection | None:
        """One call per person: no upstream lists for many authors at once."""
        page = page_request(info, first=first, after=after)
        by_author = PostConditions(author_id=user.id)
        return list_posts(info, page, order_by, by_author)


@record_type(ConduitViewer, "The signed-in person.")
class Viewer(Node):
    """Reads a document of Conduit."""

    id: strawberry.ID = global_id_of("Viewer")
    database_id: strawberry.ID = column(
        "id", "The upstream's own id, for use outside this graph."
    )
    email: str | None = column(
        "email", "The address they sign in with; nobody else sees it."
    )
    username: str | None = column("username", "The name they chose; null if none.")

    @field("The viewer as others see them.")
    @staticmethod
    def user(viewer: Parent[ConduitViewer]) -> User:
        """No call."""
        return shown(User, ConduitUser(id=viewer.id, username=viewer.username))

    @field("The viewer's notes; newest first unless ordered otherwise.", paged())
    def notes(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        order_by: NoteOrderArgument = None,
    ) -> NoteConnection | None:
        """One call; shared with an equal list under `notes`."""
        page = page_request(info, first=first, after=after, last=last, before=before)
        return list_notes(info, page, order_by)

    @field(
        "Posts written by the viewer (custom endpoint GetPostsByAuthor, "
        "never filtered here).",
        paged(forward_only=True),
    )
    @staticmethod
    def posts(
        viewer: Parent[ConduitViewer],
        info: Info,
        first: First = None,
        after: After = None,
        order_by: PostOrderArgument = None,
    ) -> PostConnection | None:
        """One call."""
        page = page_request(info, first=first, after=after)
        by_viewer = PostConditions(author_id=viewer.id)
        return list_posts(info, page, order_by, by_viewer)

    @field("Where the viewer is signed in; the last used first.", SESSIONS_SIZE)
    async def sessions(self, info: Info) -> list[ViewerSession] | None:
        """No call."""
        return await list_sessions(info)


@strawberry.type
class ViewerQuery:
    """Root fields."""

    @field(
        "The signed-in person; null when nobody is signed in (that is not an error)."
    )
    async def viewer(self, info: Info) -> Viewer | None:
        """One call, none when there is no session."""
        record = await users.get_viewer(info.context)
        return shown(Viewer, record)


@strawberry.enum(description="How a client keeps its session.")
class SessionTransport(Enum):
    """The ways a session travels."""

    COOKIE = strawberry.enum_value(
        "COOKIE", description="In an HttpOnly cookie; for browsers."
    )
    BEARER = strawberry.enum_value(
        "BEARER",
        description="In `Authorization: Bearer …`; for clients without a cookie jar.",
    )


@strawberry.input(description="A new account.")
class SignUpInput:
    """Input of signUp."""

    email: str = strawberry.field(description="The address to sign in with.")
    password: str = strawberry.field(description="The password to sign in with.")


@strawberry.input(description="Who signs in, and how the session travels.")
class SignInInput:
    """Input of signIn."""

    email: str = strawberry.field(description="The address of the account.")
    password: str = strawberry.field(description="The password of the account.")
    transport: SessionTransport = strawberry.field(
        default=SessionTransport.COOKIE,
        description="COOKIE sets the session cookie; BEARER returns the same sealed "
        "session for clients without a cookie jar.",
    )


@strawberry.type(description="The account was made; nobody is signed in by it.")
class SignUpSuccess:
    """Success of signUp."""

    user: User = strawberry.field(description="The new person.")


@strawberry.type(description="The session is open.")
class SignInSuccess:
    """Success of signIn."""

    session_token: str | None = strawberry.field(
        description="Only with transport: BEARER. Send it as Authorization: Bearer …; "
        "it is this server's sealed session, not an upstream's token."
    )

    @field("Who is signed in now.")
    async def viewer(self, info: Info) -> Viewer:
        """One call."""
        record = await users.get_viewer(info.context)
        if record is None:  # ended elsewhere in the meantime
            raise NotAuthenticatedError("the new session has ended already")
        return shown(Viewer, record)


@strawberry.type(description="Nobody is signed in any more.")
class SignOutPayload:
    """Answer of signOut."""

    ok: bool = strawberry.field(description="Always true.")


SignUpResult = Annotated[
    SignUpSuccess | InvalidInput | Conflict,
    strawberry.union("SignUpResult", description="What became of signUp."),
]
SignInResult = Annotated[
    SignInSuccess | InvalidCredentials | InvalidInput,
    strawberry.union("SignInResult", description="What became of signIn."),
]


@strawberry.type
class SessionMutation:
    """Root fields."""

    @mutation("Makes an account. Sign in with it afterwards.")
    async def sign_up(
        self,
        info: Info,
        input: Annotated[
            SignUpInput, strawberry.argument(description="The new account.")
        ],
    ) -> SignUpResult:
        """One call."""
        record = await users.sign_up(
            info.context, email=input.email, password=input.password
        )
        return SignUpSuccess(user=shown(User, record))

    @mutation(
        "Opens a session. The upstream's tokens stay in the vault; the "
        "answer never holds them."
    )
    async def sign_in(
        self,
        info: Info,
        input: Annotated[
            SignInInput, strawberry.argument(description="Who signs in, and how.")
        ],
    ) -> SignInResult:
        """One call; one more when `viewer` is asked for."""
        token = await users.sign_in(
            info.context,
            email=input.email,
            password=input.password,
            bearer=input.transport is SessionTransport.BEARER,
        )
        return SignInSuccess(session_token=token)

    @mutation(
        "Ends this session, or with everywhere: true all sessions of this "
        "person. Succeeds when already signed out."
    )
    async def sign_out(
        self,
        info: Info,
        everywhere: Annotated[
            bool | None,
            strawberry.argument(description="End the sessions on all devices."),
        ] = False,
    ) -> SignOutPayload:
        """Up to one call."""
        await users.sign_out(info.context, everywhere=bool(everywhere))
        return SignOutPayload(ok=True)
