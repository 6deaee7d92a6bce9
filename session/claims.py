"""`ClaimStore`: what is known of a write that its client may send again.

Used by `resolvers/retries.py` for writes whose id the upstream makes; implemented by
the vault's two stores (`vault.py`), because all processes must see the same claims. A
claim is a short text under a name, and it ends by itself: a person can hold no more
claims than they have made writes with a key within that time.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Claim:
    """What is stored under a name, and since how many seconds.

    The age is measured by the store's own clock, so machines need not agree on a time.
    """

    value: str
    age_s: float


class ClaimStore(Protocol):
    """Each method is one step on one name. Raises: VaultUnavailableError."""

    async def claim(self, name: str, value: str, life_s: int) -> Claim | None:
        """Store `value` if the name is free; None then, else what is there already.

        All claims under a name must have the same life: the age is told from it.
        """

    async def replace_claim(self, name: str, old: str, new: str, life_s: int) -> bool:
        """Put `new` in the place of `old`; False when `old` is not there any more."""

    async def drop_claim(self, name: str, value: str) -> None:
        """Free the name, if it still holds `value`."""
