"""Addresses and credentials out of the environment."""

import pytest

from provision.access import Access, AccessError

GOOD = {
    "CONDUIT_ADMIN_URL": "http://admin.example:3030/",
    "CONDUIT_MASTER_KEY": "the-master-key",
    "CONDUIT_ADMIN_USER": "admin",
    "CONDUIT_ADMIN_PASSWORD": "the-password",
}


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(AccessError) as caught:
        Access.from_env({"CONDUIT_ADMIN_URL": "admin.example"})
    assert len(caught.value.mistakes) == 4


@pytest.mark.parametrize(
    "address",
    ["admin:3030", "ftp://x", "http://", "http://u:p@x", "http://x?a=1", "http://x:y"],
)
def test_an_address_must_be_plain(address: str) -> None:
    with pytest.raises(AccessError, match="CONDUIT_ADMIN_URL"):
        Access.from_env({**GOOD, "CONDUIT_ADMIN_URL": address})


def test_one_address_cannot_be_both() -> None:
    with pytest.raises(AccessError, match="same address"):
        Access.from_env({**GOOD, "CLIENT_BASE_URL": "http://admin.example:3030"})


def test_secrets_are_in_no_repr_and_taken_out_of_texts() -> None:
    client = {"CONDUIT_CLIENT_ID": "id", "CONDUIT_CLIENT_SECRET": "the-client-secret"}
    access = Access.from_env({**GOOD, **client})
    for secret in ("the-master-key", "the-password", "the-client-secret"):
        assert secret not in repr(access)
        assert access.hidden(f"a {secret} b") == "a <hidden> b"
    assert access.client_headers["clientid"] == "id"
    assert access.admin_url == "http://admin.example:3030"
