"""People as others see them, by the custom endpoint `GetUsersByIds`.

The endpoint returns whole User objects (conduit.md §12); only id and user name are
decoded, the rest is never held.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from clients.chunks import concurrently, equal_chunks

from . import database
from .calls import ConduitCalls
from .records import ConduitUser

_USERS: Final = msgspec.json.Decoder(list[ConduitUser])


class ConduitUsers(msgspec.Struct, frozen=True):
    """Called by the loader of authors."""

    _calls: ConduitCalls

    async def by_ids(self, ids: Sequence[str]) -> list[ConduitUser]:
        """`GetUsersByIds`, 100 ids a call, side by side; in no order, misses absent.

        Raises: InvalidInputError for a malformed id, before any call.
        """
        chunks = equal_chunks(self._calls.ids(ids), database.IDS_PER_REQUEST)
        parts = await concurrently([self._some(chunk) for chunk in chunks])
        return [user for part in parts for user in part]

    async def _some(self, ids: Sequence[str]) -> list[ConduitUser]:
        response = await self._calls.read(
            database.function("GetUsersByIds", {"ids": database.listed(ids)}),
            operation="users by ids",
        )
        return response.decode(_USERS)
