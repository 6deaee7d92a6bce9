"""The viewer's sessions: which devices are signed in, and ending one of them.

What sessions are and where they lie is the business of `session/accounts.py`.
"""

from clients.errors import NotFoundError
from session.accounts import SessionInfo as SessionInfo

from .context import RequestContext


async def list_sessions(context: RequestContext) -> list[SessionInfo]:
    """The live sessions, the last used first. No upstream call.

    Raises: NotAuthenticatedError, VaultUnavailableError.
    """
    return await context.shared.sessions.list_sessions(context.session)


async def end_session(context: RequestContext, session_id: str) -> None:
    """End one; at most three calls, and only if nobody else lives on its tokens.

    Raises: NotFoundError, also for another person's; NotAuthenticatedError,
    VaultUnavailableError.
    """
    ended = await context.shared.sessions.end_session(
        context.session, session_id, context.scope
    )
    if not ended:
        raise NotFoundError("no such session", operation="end session")
    if not context.session.is_open:
        context.forget()
