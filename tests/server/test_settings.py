"""Settings: what starts, what does not, and that all mistakes come at once."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from clients.budget import Rate
from server.environment import EnvironmentReader
from server.settings import Settings, SettingsError
from server.variables import VARIABLES

ROOT = Path(__file__).resolve().parent.parent.parent
RANDOM = "kq3J0x7VbP1mZr9YtW5nH2cL8dF4gS6a"
FLUX_SECRET = "h8Qz1Xv5Lw2Nc7Rb4Mt9Ky6Pj3Sd0Gf+Ua"


@pytest.fixture
def production(environment: dict[str, str]) -> dict[str, str]:
    return {
        **environment,
        "ENVIRONMENT": "production",
        "FLUX_URL": "https://api--bloom--0a1b2c3.vsl-base.com",
        "FLUX_JWT_SECRET": FLUX_SECRET,
        "CLIENT_BASE_URL": "https://conduit.example.com",
    }


def mistakes(env: dict[str, str]) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(env)
    return {found.name: str(found) for found in caught.value.mistakes}


def test_four_variables_are_enough_for_development(
    environment: dict[str, str],
) -> None:
    settings = Settings.from_env(environment)
    assert settings.graphiql
    assert not settings.session.cookie.secure
    assert settings.session.flux_tokens.source == "none"
    assert settings.listen.port == 8000


def test_production_has_a_secure_cookie_and_no_graphiql(
    production: dict[str, str],
) -> None:
    settings = Settings.from_env(production)
    assert settings.production
    assert settings.session.cookie.secure
    assert not settings.graphiql
    assert settings.session.flux_tokens.source == "mint"


def test_all_mistakes_are_told_at_once_and_no_secret_is_quoted() -> None:
    env = {
        "ENVIRONMENT": "staging",
        "PORT": "80a",
        "SESSION_SECRET": "short-and-private",
        "FLUX_JWT_SECRET": "tiny-and-private",
        "REDIS_URL": "http://user:private@redis",
        "REQUEST_DEADLINE_S": "0",
        "CORS_ORIGINS": "*",
        "CA_BUNDLE": "/nowhere/ca.pem",
        "STORAGE_REWRITE": "nonsense",
        "FLUX_URL": "ftp://x",
    }
    found = mistakes(env)
    assert set(found) >= {*env, "CLIENT_BASE_URL"}
    assert "private" not in "\n".join(found.values())


def test_every_mistake_names_the_setting_and_a_cure() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({})
    assert {found.name for found in caught.value.mistakes} == {
        "FLUX_URL",
        "CLIENT_BASE_URL",
        "SESSION_SECRET",
    }
    assert all(found.problem and found.cure for found in caught.value.mistakes)


@pytest.mark.parametrize(
    ("value", "calls", "window_s"),
    [("100/60", 100, 60.0), ("50/1", 50, 1.0), ("7/0.5", 7, 0.5)],
)
def test_a_rate_is_calls_and_seconds(
    environment: dict[str, str], value: str, calls: int, window_s: float
) -> None:
    env = {**environment, "FLUX_RATE_LIMIT": value, "CONDUIT_RATE_LIMIT": "off"}
    thrift = Settings.from_env(env).thrift
    assert thrift.flux == Rate(calls, window_s)
    assert thrift.conduit is None
    assert not thrift.joins_sent


@pytest.mark.parametrize("value", ["0/60", "100", "100/0", "100/60s", "-1/1", "no"])
def test_what_is_no_rate_is_a_mistake(environment: dict[str, str], value: str) -> None:
    assert "FLUX_RATE_LIMIT" in mistakes({**environment, "FLUX_RATE_LIMIT": value})


def test_two_names_of_one_setting_may_agree_but_not_disagree(
    environment: dict[str, str],
) -> None:
    env = {**environment, "NEXT_PUBLIC_FLUX_URL": environment["FLUX_URL"]}
    assert Settings.from_env(env).flux.url == environment["FLUX_URL"]
    env["NEXT_PUBLIC_FLUX_URL"] = "https://other.example.com"
    assert "disagree" in mistakes(env)["FLUX_URL"]


def test_the_guides_public_name_alone_is_enough(environment: dict[str, str]) -> None:
    env = {**environment, "NEXT_PUBLIC_FLUX_URL": "https://flux.example.com/"}
    del env["FLUX_URL"]
    assert Settings.from_env(env).flux.url == "https://flux.example.com"


@pytest.mark.parametrize(
    ("content", "url", "schema"),
    [
        (
            {"slug": "bloom--at", "hash": "0A1B2C3"},
            "https://api--bloom--at--0a1b2c3.vsl-base.com",
            None,
        ),
        (
            {"slug": "bloom", "hash": "0a1b2c3", "apiSchema": "t_5ecfa3ab72d1_api"},
            "https://api--bloom--0a1b2c3.vsl-base.com",
            "t_5ecfa3ab72d1_api",
        ),
        ({"apiUrl": "https://flux.example.com"}, "https://flux.example.com", None),
    ],
)
def test_flux_json_is_read_when_no_url_is_given(
    environment: dict[str, str],
    tmp_path: Path,
    content: dict[str, str],
    url: str,
    schema: str | None,
) -> None:
    path = tmp_path / "flux.json"
    path.write_text(json.dumps(content))
    env = {**environment, "FLUX_CONFIG": str(path)}
    del env["FLUX_URL"]
    settings = Settings.from_env(env)
    assert (settings.flux.url, settings.flux.schema) == (url, schema)


def test_an_explicit_url_wins_over_flux_json(
    environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "flux.json"
    path.write_text('{"slug": "bloom", "hash": "0a1b2c3", "apiSchema": "x"}')
    settings = Settings.from_env({**environment, "FLUX_CONFIG": str(path)})
    assert settings.flux.url == environment["FLUX_URL"]
    assert settings.flux.schema is None


@pytest.mark.parametrize(
    ("content", "cure"),
    [
        ('{"slug": "bloom", "hash": "REPLACE_AFTER_FLUX_INIT"}', "flux init"),
        ('{"slug": "bloom", "hash": "xyz"}', "flux init"),
        ('{"slug": "evil.example.com/", "hash": "0a1b2c3"}', "flux init"),
        ("[]", "flux init"),
        ("not json", "flux init"),
    ],
)
def test_a_flux_json_at_fault_says_what_to_do(
    environment: dict[str, str], tmp_path: Path, content: str, cure: str
) -> None:
    path = tmp_path / "flux.json"
    path.write_text(content)
    env = {**environment, "FLUX_CONFIG": str(path)}
    del env["FLUX_URL"]
    assert cure in mistakes(env)["FLUX_CONFIG"]


def test_a_map_of_passwords_rotates_and_one_weak_one_stops_the_start(
    environment: dict[str, str],
) -> None:
    env = {**environment, "SESSION_SECRET": json.dumps({"1": RANDOM, "2": FLUX_SECRET})}
    assert Settings.from_env(env).session.cookie.passwords == {
        "1": RANDOM,
        "2": FLUX_SECRET,
    }
    env["SESSION_SECRET"] = json.dumps({"1": RANDOM, "2": "short"})
    assert "32" in mistakes(env)["SESSION_SECRET"]


@pytest.mark.parametrize(
    "value", ["{", '{"a": 1}', "{}", '{"x": "' + RANDOM + '"}', '{"1": null}']
)
def test_a_broken_map_of_passwords_is_a_mistake(
    environment: dict[str, str], value: str
) -> None:
    assert "SESSION_SECRET" in mistakes({**environment, "SESSION_SECRET": value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SESSION_SECRET", "complex_password_at_least_32_characters_long"),
        ("SESSION_SECRET", "a" * 40),
        ("FLUX_JWT_SECRET", "1234" * 12),
        ("FLUX_URL", "http://flux.example.com"),
        ("CLIENT_BASE_URL", "http://conduit.example.com"),
        ("CLIENT_BASE_URL", "https://conduit.example.com:3030"),
        ("CONDUIT_CLIENT_SECRET", "x"),
    ],
)
def test_production_refuses_samples_and_open_lines(
    production: dict[str, str], name: str, value: str
) -> None:
    assert len(mistakes({**production, name: value})) == 1


@pytest.mark.parametrize(
    ("rows", "page_size", "good"),
    [("101", "100", True), ("100", "100", False), ("1000", "off", False)],
)
def test_a_page_must_fit_into_what_flux_gives(
    environment: dict[str, str], rows: str, page_size: str, good: bool
) -> None:
    env = {**environment, "FLUX_MAX_ROWS": rows, "LIMIT_PAGE_SIZE": page_size}
    if good:
        assert Settings.from_env(env).flux.max_rows == int(rows)
    else:
        assert [mistake.startswith("FLUX_MAX_ROWS") for mistake in mistakes(env)] == [
            True
        ]


@pytest.mark.parametrize(
    "url", ["http://conduit:3000", "http://10.1.2.3:3000", "http://c.prod.svc"]
)
def test_production_allows_http_inside_the_own_network(
    production: dict[str, str], url: str
) -> None:
    assert Settings.from_env({**production, "CLIENT_BASE_URL": url}).conduit.url == url


def test_storage_defaults_to_conduits_host_on_the_local_ports(
    environment: dict[str, str],
) -> None:
    env = {**environment, "CLIENT_BASE_URL": "http://conduit:3000"}
    assert Settings.from_env(env).storage.hosts >= {
        "conduit:3100",
        "conduit:8103",
        "localhost:3100",
    }


def test_no_secret_stands_in_the_settings_own_text(
    production: dict[str, str],
) -> None:
    env = {
        **production,
        "REDIS_URL": "redis://user:hunter2@127.0.0.1:9/0",
        "CONDUIT_CLIENT_ID": "id",
        "CONDUIT_CLIENT_SECRET": "sesame-open",
    }
    text = repr(Settings.from_env(env))
    assert not any(each in text for each in (RANDOM, FLUX_SECRET, "hunter2", "sesame"))


def test_every_default_is_a_value_that_the_reader_takes(
    environment: dict[str, str],
) -> None:
    given = {v.name: v.default for v in VARIABLES if v.default}
    assert Settings.from_env({**given, **environment}) == Settings.from_env(environment)


def test_every_variable_in_the_list_is_read(
    production: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[str] = set()
    text = EnvironmentReader.text

    def recording(self: EnvironmentReader, name: str) -> str | None:
        asked.add(name)
        return text(self, name)

    monkeypatch.setattr(EnvironmentReader, "text", recording)
    Settings.from_env(production)
    with pytest.raises(SettingsError):
        Settings.from_env({**production, "FLUX_URL": ""})
    # Looked up only with a flux.json at hand; test_flux_json_… covers it.
    assert {v.name for v in VARIABLES} - asked == {"FLUX_BASE_DOMAIN"}


def test_the_example_file_names_every_variable_with_its_default() -> None:
    text = (ROOT / ".env.example").read_text()
    found = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", text, re.MULTILINE))
    assert set(found) == {v.name for v in VARIABLES}
    commented = dict(re.findall(r"^#([A-Z_]+)=(.*)$", text, re.MULTILINE))
    defaults = {v.name: v.default or "" for v in VARIABLES}
    assert commented == {name: defaults[name] for name in commented}


def test_settings_cannot_be_changed(environment: dict[str, str]) -> None:
    settings = Settings.from_env(environment)
    with pytest.raises(AttributeError):
        settings.deadline_s = 1.0  # type: ignore[misc]
    assert replace(settings, deadline_s=1.0) != settings
