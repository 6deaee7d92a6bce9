"""The headers of a request: which of two counts, what is joined, what is not shown."""

from server.head import Head

TWICE = [
    (b"accept", b"text/html"),
    (b"cookie", b"mainstem=sealed"),
    (b"accept", b"*/*"),
    (b"authorization", b"Bearer first"),
    (b"authorization", b"Bearer second"),
]


def test_of_a_header_that_was_sent_twice_the_first_counts() -> None:
    assert Head(TWICE).text(b"authorization") == "Bearer first"


def test_what_may_be_sent_twice_is_joined_in_its_order() -> None:
    head = Head(TWICE)
    assert head.joined(b"accept") == "text/html,*/*"
    assert head.joined(b"cookie", b"; ") == "mainstem=sealed"
    assert head.joined(b"range") == ""


def test_no_value_is_in_its_representation() -> None:
    shown = repr(Head(TWICE))
    assert "cookie" in shown
    assert not any(value.decode() in shown for _, value in TWICE)
