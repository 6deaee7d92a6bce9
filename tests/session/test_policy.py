"""How long sessions live."""

from hypothesis import given
from hypothesis import strategies as st

from session.policy import SessionPolicy
from session.records import SessionEntry

ENTRIES = st.builds(
    SessionEntry,
    created_at=st.integers(0, 100_000),
    last_used_at=st.integers(0, 100_000),
    opened_by=st.sampled_from(["us", "other"]),
)
POLICIES = st.builds(
    SessionPolicy, idle_s=st.integers(60, 10_000), absolute_s=st.integers(0, 10_000)
)


def is_quiet(policy: SessionPolicy, entry: SessionEntry, now: float) -> bool:
    return not policy.is_over(entry, now) and not policy.touch_due(entry, now)


@given(policy=POLICIES, entry=ENTRIES, now=st.integers(0, 200_000))
def test_nothing_is_to_be_done_before_it_is_due(
    policy: SessionPolicy, entry: SessionEntry, now: int
) -> None:
    if now < policy.next_due(entry):
        assert is_quiet(policy, entry, now)
    elif now > policy.next_due(entry):
        assert not is_quiet(policy, entry, now)
