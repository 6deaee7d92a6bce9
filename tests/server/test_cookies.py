"""The session of a request: read late, written when the answer starts, bearer first."""

from collections.abc import Awaitable, Callable

import httpx
import pytest
from door_harness import COOKIE, behind_the_door
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from server.cookies import session_of
from session.cookie import SessionCookie
from session.session import Session

VAULT_KEY = "k" * 32
Action = Callable[[Session], None]


class CountingCookie(SessionCookie):
    """The real one, counting how often it unseals."""

    reads = 0

    def read(self, cookies: "object") -> Session:
        self.reads += 1
        return super().read(cookies)  # type: ignore[arg-type]


class Page:
    """Does something with the session, if anything, and answers."""

    def __init__(self, action: Action | None) -> None:
        self._action = action

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        text = "nobody asked"
        if self._action is not None:
            session = session_of(scope)
            self._action(session)
            text = f"{session.user_id} {session.source}"
        response = PlainTextResponse(text)
        response.set_cookie("other", "1")
        await response(scope, receive, send)


@pytest.fixture
def cookie() -> CountingCookie:
    return CountingCookie(COOKIE)


def sealed(cookie: SessionCookie) -> str:
    session = Session()
    session.open("user-1", VAULT_KEY)
    return cookie.write(session)[0].split(";")[0]


def asking(cookie: SessionCookie) -> Callable[..., Awaitable[httpx.Response]]:
    async def ask(action: Action | None, **headers: str) -> httpx.Response:
        app = behind_the_door(Route("/", Page(action)), cookie=cookie)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://a") as http:
            return await http.get("/", headers=headers)

    return ask


def look(session: Session) -> None:
    """Read only."""


async def test_a_page_that_asks_for_no_session_unseals_nothing(
    cookie: CountingCookie,
) -> None:
    await asking(cookie)(None, cookie=sealed(cookie))
    assert cookie.reads == 0


async def test_a_session_that_did_not_change_writes_no_cookie(
    cookie: CountingCookie,
) -> None:
    response = await asking(cookie)(look, cookie=sealed(cookie))
    assert response.text == "user-1 cookie"
    assert response.headers.get_list("set-cookie") == ["other=1; Path=/; SameSite=lax"]


async def test_each_cookie_has_a_header_of_its_own(cookie: CountingCookie) -> None:
    response = await asking(cookie)(lambda s: s.open("user-2", VAULT_KEY))
    other, ours = response.headers.get_list("set-cookie")
    assert other.startswith("other=")
    assert ours.startswith("conduit_session=Fe26.2*")
    assert "HttpOnly" in ours
    assert "SameSite=Lax" in ours


@pytest.mark.parametrize("form", ["{}", "a=1;{} ; b", 'conduit_session="{}"', "x; {}"])
async def test_the_cookie_is_found_among_others_and_in_quotes(
    cookie: CountingCookie, form: str
) -> None:
    pair = sealed(cookie)
    value = pair.partition("=")[2]
    sent = form.format(value if '"' in form else pair)
    response = await asking(cookie)(look, cookie=sent)
    assert response.text == "user-1 cookie"


async def test_of_a_cookie_sent_twice_the_last_counts(cookie: CountingCookie) -> None:
    """As in Next.js, so that both applications know the same person."""
    pair = sealed(cookie)
    forged = "conduit_session=nonsense"
    response = await asking(cookie)(look, cookie=f"{forged}; {pair}")
    assert response.text == "user-1 cookie"
    response = await asking(cookie)(look, cookie=f"{pair}; {forged}")
    assert response.text.startswith("None")


async def test_closing_expires_the_cookie(cookie: CountingCookie) -> None:
    response = await asking(cookie)(Session.close, cookie=sealed(cookie))
    ours = response.headers.get_list("set-cookie")[1]
    assert ours.startswith("conduit_session=;")
    assert "Max-Age=0" in ours


async def test_with_a_bearer_the_cookie_is_not_even_looked_at(
    cookie: CountingCookie,
) -> None:
    session = Session()
    session.open("user-3", VAULT_KEY, source="bearer")
    bearer = f"Bearer {cookie.seal_bearer(session)}"
    ask = asking(cookie)
    response = await ask(look, cookie=sealed(cookie), authorization=bearer)
    assert response.text == "user-3 bearer"
    forged = await ask(look, cookie=sealed(cookie), authorization="bearer nonsense")
    assert forged.text.startswith("None")
    assert cookie.reads == 0


async def test_another_authorization_scheme_leaves_the_cookie_in_force(
    cookie: CountingCookie,
) -> None:
    response = await asking(cookie)(
        look, cookie=sealed(cookie), authorization="Basic x"
    )
    assert response.text == "user-1 cookie"


async def test_a_bearer_session_that_ends_writes_no_cookie(
    cookie: CountingCookie,
) -> None:
    session = Session()
    session.open("user-3", VAULT_KEY, source="bearer")
    bearer = f"Bearer {cookie.seal_bearer(session)}"
    response = await asking(cookie)(Session.close, authorization=bearer)
    assert len(response.headers.get_list("set-cookie")) == 1
