"""Settings of uploads, and which storage hosts may be inside the own network."""

import pytest

from server.settings import Settings, SettingsError

GIVEN = {
    "FLUX_URL": "http://127.0.0.1:8101",
    "CLIENT_BASE_URL": "http://127.0.0.1:8102",
    "SESSION_SECRET": "0123456789-abcdefghijklmnopqrstuvwxyz",
}


def test_everything_up_to_256_mebibytes_is_taken_unless_told_otherwise() -> None:
    uploads = Settings.from_env(GIVEN).uploads
    assert uploads.max_bytes == 256 * 1024 * 1024
    assert uploads.allowed_types == uploads.denied_types == ()


def test_types_are_lists() -> None:
    env = GIVEN | {"UPLOAD_TYPES": "image/*, application/pdf"}
    assert Settings.from_env(env).uploads.allowed_types == (
        "image/*",
        "application/pdf",
    )


@pytest.mark.parametrize("name", ["UPLOAD_TYPES", "UPLOAD_TYPES_DENIED"])
@pytest.mark.parametrize("value", ["png", "*/*", "image/", "Image/PNG", "image/png;a"])
def test_what_is_no_type_is_a_mistake(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(GIVEN | {name: value})
    assert [mistake.name for mistake in caught.value.mistakes] == [name]


@pytest.mark.parametrize(
    ("env", "private"),
    [
        ({"STORAGE_HOSTS": "files.example.com"}, set()),
        ({"STORAGE_HOSTS": "conduit-storage:3100"}, {"conduit-storage"}),
        (
            {"STORAGE_HOSTS": "files.prod.svc,s3.local:9000"},
            {"files.prod.svc", "s3.local"},
        ),
        (
            {
                "STORAGE_HOSTS": "files.corp.example.com",
                "STORAGE_PRIVATE_HOSTS": "files.corp.example.com",
            },
            {"files.corp.example.com"},
        ),
        (
            {
                "STORAGE_HOSTS": "files.example.com",
                "STORAGE_REWRITE": "localhost:3100=http://storage.example.com:9000",
            },
            {"storage.example.com"},
        ),
    ],
)
def test_only_hosts_that_are_meant_to_be_may_be_inside(
    env: dict[str, str], private: set[str]
) -> None:
    assert Settings.from_env(GIVEN | env).storage.private_hosts == private
