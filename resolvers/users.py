"""People: the viewer, other users, and how one becomes the viewer or ceases to be."""

import re
from collections.abc import Sequence
from typing import Final

from clients.conduit.records import ConduitPost, ConduitUser, ConduitViewer
from clients.errors import NotAuthenticatedError

from . import inputs
from .batching import Loaded, came_along
from .context import RequestContext

# No more than a shape: whether an address exists only its owner knows.
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
_LONGEST_EMAIL: Final = 254
_LONGEST_PASSWORD: Final = 1024


async def get_viewer(context: RequestContext) -> ConduitViewer | None:
    """Who is signed in; None when nobody is, or the session has ended meanwhile.

    No call when there is no session; else one for the whole operation.
    """
    user_id = context.session.user_id
    if user_id is None:
        return None
    try:
        return await context.loaders.viewers.load(user_id)
    except NotAuthenticatedError:
        return None


async def get_viewer_by_id(
    context: RequestContext, user_id: str
) -> ConduitViewer | None:
    """The viewer, if that is their id: nobody sees another person as a viewer."""
    return await get_viewer(context) if user_id == context.session.user_id else None


def get_authors(
    context: RequestContext, posts: Sequence[ConduitPost]
) -> Loaded[ConduitUser | None]:
    """No call: authors are sent along with posts; else one for all of them."""
    refs = [post.author_ref for post in posts]
    if came_along(refs):
        return refs
    return context.loaders.users.load_refs(refs)


async def sign_up(context: RequestContext, *, email: str, password: str) -> ConduitUser:
    """Make an account; nobody is signed in by it. One call.

    Raises: InvalidInputError, ConflictError when the address is taken.
    """
    _check(email, password)
    return await context.shared.sessions.sign_up(
        email, password, context.scope, client_address=context.client_address
    )


async def sign_in(
    context: RequestContext, *, email: str, password: str, bearer: bool
) -> str | None:
    """Open the request's session; with `bearer` return it sealed, without a cookie.

    One call. Raises: InvalidInputError, InvalidCredentialsError.
    """
    _check(email, password)
    await context.shared.sessions.sign_in(
        context.session,
        email,
        password,
        context.scope,
        user_agent=context.user_agent(),
        client_address=context.client_address,
        transport="bearer" if bearer else "cookie",
    )
    context.forget()
    return context.shared.sessions.sealed_token(context.session) if bearer else None


async def sign_out(context: RequestContext, *, everywhere: bool) -> None:
    """End this session, or all of this person; fine when nobody is signed in."""
    await context.shared.sessions.sign_out(
        context.session, context.scope, everywhere=everywhere
    )
    context.forget()


def _check(email: str, password: str) -> None:
    inputs.storable(email, field="email", longest=_LONGEST_EMAIL)
    inputs.storable(password, field="password", longest=_LONGEST_PASSWORD)
    if not _EMAIL.fullmatch(email):
        raise inputs.refused("email", "This is not an e-mail address.")
    if not password:
        raise inputs.refused("password", "A password is needed.")
