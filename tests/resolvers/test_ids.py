"""Global ids: written and read by the same rule, strictly."""

import base64
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.errors import InvalidInputError
from resolvers.ids import KINDS, global_id, parse_global_id, upstream_id

ONE = "0b0b0b0b-0b0b-4b0b-8b0b-0b0b0b0b0b0b"


def encoded(text):
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


@given(st.sampled_from(sorted(KINDS)), st.uuids())
def test_what_is_written_is_read(kind, key):
    written = global_id(kind, str(key))
    assert parse_global_id(written) == (kind, str(key))
    assert upstream_id(kind, written) == upstream_id(kind, str(key)) == str(key)


def test_is_unpadded_base64url_of_kind_and_id():
    assert global_id("Note", ONE) == encoded(f"Note:{ONE}")


@given(st.text(max_size=80))
def test_anything_else_is_refused_and_never_crashes(text):
    with pytest.raises(InvalidInputError):
        parse_global_id(text)


@pytest.mark.parametrize(
    "value",
    [
        encoded("Note:"),
        encoded(f"Note:{ONE.upper()}"),
        encoded(f"note:{ONE}"),
        encoded(f"Comment:{ONE}"),
        encoded(f"Note:{ONE}:"),
        encoded(f" Note:{ONE}"),
        encoded(f"Note:{ONE}") + "=",
        encoded(f"Note:{ONE}") + "A",
        encoded(f"Post:{ONE}") + "\n",
        f"Note:{ONE}",
        encoded("Note:507f1f77bcf86cd799439011"),
    ],
)
def test_near_misses_are_refused(value):
    with pytest.raises(InvalidInputError):
        parse_global_id(value)


def test_an_id_may_be_given_as_the_upstream_spells_it():
    assert upstream_id("Post", ONE.upper()) == ONE
    assert upstream_id("Post", "507F1F77BCF86CD799439011") == "507f1f77bcf86cd799439011"
    assert upstream_id("File", global_id("File", ONE)) == ONE


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_another_kind_is_named_in_the_refusal(kind):
    other = "Post" if kind != "Post" else "Note"
    with pytest.raises(InvalidInputError) as caught:
        upstream_id(kind, global_id(other, str(uuid.UUID(int=1))), field="postId")
    assert caught.value.field == "postId"
    assert other in caught.value.public_message
