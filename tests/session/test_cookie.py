"""What is read out of a request's cookies, and what is written back."""

import pytest
from session_harness import PASSWORDS, Clock

from session.cookie import CookieSettings, SessionCookie
from session.seal import seal, unseal
from session.session import Session, SessionRef

OLD = PASSWORDS["1"]
NEW = "Zk4pVb7YwTq9NsRd2XhLm6GcJf8EaUo3"
NAME = "conduit_session"
PAYLOAD = {"userId": "user-1", "vaultKey": "vault-key-1"}


@pytest.fixture
def cookie(clock: Clock) -> SessionCookie:
    settings = CookieSettings(passwords=PASSWORDS, secure=True)
    return SessionCookie(settings, clock=clock)


def sealed(payload: dict[str, object], clock: Clock, ttl_s: int = 1_209_600) -> str:
    now_ms = int(clock() * 1000)
    return seal(payload, passwords=PASSWORDS, ttl_s=ttl_s, now_ms=now_ms)


def opened() -> Session:
    session = Session(source="cookie")
    session.open("user-1", "vault-key-1")
    return session


def value_of(header: str) -> str:
    return header.partition(";")[0].partition("=")[2]


def test_writes_exactly_what_the_next_app_writes(
    cookie: SessionCookie, clock: Clock
) -> None:
    [header] = cookie.write(opened())
    assert header.partition("; ")[2] == (
        "Max-Age=1209540; Path=/; HttpOnly; Secure; SameSite=Lax"
    )
    value = value_of(header)
    now_ms = int(clock() * 1000)
    assert unseal(value, passwords=PASSWORDS, now_ms=now_ms).payload == PAYLOAD


def test_what_is_written_is_read_again(cookie: SessionCookie) -> None:
    [header] = cookie.write(opened())
    session = cookie.read({NAME: value_of(header)})
    assert session.ref == SessionRef("user-1", "vault-key-1")
    assert session.source == "cookie"
    assert not session.changed


def test_the_cookie_is_not_secure_only_outside_production() -> None:
    settings = CookieSettings(passwords=PASSWORDS, secure=False, domain="example.org")
    [header] = SessionCookie(settings).write(opened())
    assert "Secure" not in header
    assert "Domain=example.org; Path=/; HttpOnly; SameSite=Lax" in header


@pytest.mark.parametrize(
    ("ttl_s", "max_age_s"), [(0, 2_147_483_647), (60, 60), (61, 1), (3600, 3540)]
)
def test_the_cookie_ends_before_its_seal(ttl_s: int, max_age_s: int) -> None:
    settings = CookieSettings(passwords=PASSWORDS, secure=True, ttl_s=ttl_s)
    [header] = SessionCookie(settings).write(opened())
    assert f"Max-Age={max_age_s};" in header


def test_an_unchanged_session_writes_nothing(cookie: SessionCookie) -> None:
    assert cookie.write(Session(SessionRef("u", "k"), source="cookie")) == []


def test_a_closed_session_expires_all_its_cookies(
    cookie: SessionCookie, clock: Clock
) -> None:
    value = sealed(PAYLOAD, clock)
    pieces = {f"{NAME}.0": value[:100], f"{NAME}.1": value[100:]}
    session = cookie.read(pieces)
    assert session.is_open
    session.close()
    headers = cookie.write(session)
    assert [header.partition(";")[0] for header in headers] == [
        f"{NAME}=",
        f"{NAME}.0=",
        f"{NAME}.1=",
    ]
    assert all("Max-Age=0; Path=/; HttpOnly; Secure" in header for header in headers)


def test_a_shrunk_session_expires_its_stale_pieces(
    cookie: SessionCookie, clock: Clock
) -> None:
    value = sealed(PAYLOAD, clock)
    session = cookie.read({f"{NAME}.0": value[:100], f"{NAME}.1": value[100:]})
    session.open("user-1", "vault-key-2")
    names = [header.partition("=")[0] for header in cookie.write(session)]
    assert names == [NAME, f"{NAME}.0", f"{NAME}.1"]


def test_pieces_are_read_up_to_the_first_gap(
    cookie: SessionCookie, clock: Clock
) -> None:
    value = sealed(PAYLOAD, clock)
    assert cookie.read({f"{NAME}.0": value, f"{NAME}.2": "stale"}).is_open
    assert not cookie.read({f"{NAME}.1": value}).is_open


def test_the_whole_cookie_comes_before_its_pieces(
    cookie: SessionCookie, clock: Clock
) -> None:
    other = sealed({"userId": "other", "vaultKey": "vault-key-9"}, clock)
    session = cookie.read({NAME: sealed(PAYLOAD, clock), f"{NAME}.0": other})
    assert session.user_id == "user-1"


def test_a_cookie_of_an_old_password_is_sealed_again_with_the_new(clock: Clock) -> None:
    value = sealed(PAYLOAD, clock)
    both = CookieSettings(passwords={"1": OLD, "2": NEW}, secure=True)
    session = SessionCookie(both, clock=clock).read({NAME: value})
    assert session.changed
    [header] = SessionCookie(both, clock=clock).write(session)
    only_new = CookieSettings(passwords={"2": NEW}, secure=True)
    again = SessionCookie(only_new, clock=clock).read({NAME: value_of(header)})
    assert again.ref == session.ref
    assert not SessionCookie(only_new, clock=clock).read({NAME: value}).is_open


def test_a_cookie_is_sealed_again_when_half_of_its_time_is_over(
    cookie: SessionCookie, clock: Clock
) -> None:
    value = sealed(PAYLOAD, clock)
    clock.advance(1_209_600 / 2 - 100)
    assert not cookie.read({NAME: value}).changed
    clock.advance(200)
    assert cookie.read({NAME: value}).changed
    clock.advance(1_209_600)
    assert not cookie.read({NAME: value}).is_open


def test_members_of_another_application_survive_sealing_again(clock: Clock) -> None:
    value = sealed({**PAYLOAD, "theme": "dark"}, clock)
    both = CookieSettings(passwords={"1": OLD, "2": NEW}, secure=True)
    cookie = SessionCookie(both, clock=clock)
    [header] = cookie.write(cookie.read({NAME: value}))
    assert cookie.read({NAME: value_of(header)}).extra == {"theme": "dark"}


def test_a_cookie_too_long_to_write_is_left_as_it_is(clock: Clock) -> None:
    value = sealed({**PAYLOAD, "note": "x" * 4000}, clock)
    both = CookieSettings(passwords={"1": OLD, "2": NEW}, secure=True)
    cookie = SessionCookie(both, clock=clock)
    session = cookie.read({f"{NAME}.0": value[:3000], f"{NAME}.1": value[3000:]})
    assert session.is_open
    assert cookie.write(session) == []


def test_a_bearer_value_is_no_cookie_and_a_cookie_no_bearer_value(
    cookie: SessionCookie, caplog: pytest.LogCaptureFixture
) -> None:
    bearer = cookie.seal_bearer(opened())
    [header] = cookie.write(opened())
    assert cookie.read_bearer(bearer).ref == SessionRef("user-1", "vault-key-1")
    assert not cookie.read({NAME: bearer}).is_open
    assert not cookie.read_bearer(value_of(header)).is_open
    assert [record.__dict__["fields"]["reason"] for record in caplog.records] == [
        "wrong-purpose",
        "wrong-purpose",
    ]


def test_a_bearer_session_writes_no_cookie(cookie: SessionCookie) -> None:
    session = cookie.read_bearer(cookie.seal_bearer(opened()))
    session.close()
    assert session.changed
    assert cookie.write(session) == []


@pytest.mark.parametrize(
    "payload",
    [
        {"userId": 1, "vaultKey": "vault-key-1"},
        {"userId": "user-1", "vaultKey": ["vault-key-1"]},
        {"userId": "", "vaultKey": "vault-key-1"},
        {"userId": "u" * 129, "vaultKey": "vault-key-1"},
        {"userId": "user-1", "vaultKey": "k" * 7},
        {"userId": "user-1", "vaultKey": "k" * 257},
        {"userId": "user-1", "vaultKey": "k" * 7, "theme": "dark"},
        {"userId": "user-1"},
        {},
    ],
)
def test_a_payload_without_a_usable_session_is_anonymous(
    cookie: SessionCookie, clock: Clock, payload: dict[str, object]
) -> None:
    session = cookie.read({NAME: sealed(payload, clock)})
    assert not session.is_open
    assert not session.changed


@pytest.mark.parametrize("other", [{}, {"theme": "dark"}])
@pytest.mark.parametrize(
    ("user_id", "vault_key"),
    [("u", "k" * 8), ("ü" * 128, "k" * 256), ("\ud800", "vault-key-1")],
)
def test_a_session_is_read_alike_whatever_else_its_seal_says(
    cookie: SessionCookie,
    clock: Clock,
    user_id: str,
    vault_key: str,
    other: dict[str, object],
) -> None:
    """What says no more than that is decoded in one step, the rest by its members."""
    payload = {"userId": user_id, "vaultKey": vault_key, **other}
    session = cookie.read({NAME: sealed(payload, clock)})
    assert session.ref == SessionRef(user_id, vault_key)
    assert session.extra == other


def test_a_refused_cookie_is_logged_without_its_value(
    cookie: SessionCookie, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    value = sealed(PAYLOAD, clock)
    tampered = value[:-10] + "AAAAAAAA" + value[-2:]
    assert not cookie.read({NAME: tampered}).is_open
    [record] = caplog.records
    assert record.__dict__["fields"]["reason"] == "invalid"
    assert value[10:40] not in str(record.__dict__)


def test_no_repr_shows_a_key(cookie: SessionCookie) -> None:
    session = opened()
    settings = CookieSettings(passwords=PASSWORDS, secure=True)
    shown = repr(session) + repr(session.ref) + repr(settings)
    assert "vault-key-1" not in shown
    assert OLD not in shown
