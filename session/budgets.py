"""`CostBudget`: how much each person may ask for in a minute, counted in Redis.

Used by `server/context.py` when `LIMIT_COST_PER_MINUTE` is set; the cost itself is
reckoned by the schema. All processes count together, with one round trip for each
operation. A Redis that is down limits nobody: the vault's own failure says enough.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final, cast

from redis.exceptions import RedisClusterException, RedisError

from clients.errors import RateLimitedError

from .records import digest
from .redis_connection import RedisCommands
from .redis_scripts import Script

WINDOW_S: Final = 60
ANSWER_S: Final = 0.5
# After a failure nobody waits for Redis again for so long.
PAUSE_S: Final = 1.0
PREFIX: Final = "mainstem:cost:"

# What is refused is not taken, so that who asks for too much at once may ask for less.
_TAKE: Final = Script(
    "local spent = tonumber(redis.call('GET', KEYS[1]) or '0') "
    "local left = redis.call('PTTL', KEYS[1]) "
    "if ARGV[3] == '1' and spent + ARGV[1] > tonumber(ARGV[2]) "
    "then return {0, spent, left} end "
    "spent = redis.call('INCRBY', KEYS[1], ARGV[1]) "
    "if left < 0 then left = ARGV[4] * 1000 "
    "redis.call('PEXPIRE', KEYS[1], left) end return {1, spent, left}"
)

log = logging.getLogger("mainstem.limits")


@dataclass(slots=True)
class CostBudget:
    """A fixed window for each person; `enforced=False` only tells who passes it."""

    redis: RedisCommands
    per_minute: int
    enforced: bool = True
    _paused_until: float = 0.0

    async def take(self, person: str, cost: int, *, request_id: str = "") -> None:
        """Take `cost` out of a person's minute. Raises: RateLimitedError."""
        answer = await self._asked(PREFIX + digest(person), cost)
        if answer is None:
            return
        taken, spent, left_ms = answer
        if not taken:
            raise RateLimitedError(
                f"a person's budget: {spent} of {self.per_minute} spent, {cost} asked",
                retry_after_s=max(left_ms, 0) / 1000,
            )
        if spent > self.per_minute:
            log.warning(
                "limit in request %s: %d spent, over %d a minute",
                request_id,
                spent,
                self.per_minute,
            )

    async def _asked(self, key: str, cost: int) -> list[int] | None:
        """What Redis counts; None while it does not answer."""
        now = asyncio.get_running_loop().time()
        if now < self._paused_until:
            return None
        arguments = (key, cost, self.per_minute, int(self.enforced), WINDOW_S)
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await self.redis.execute_command(
                    "EVAL", _TAKE.source, 1, *arguments
                )
        except (RedisError, RedisClusterException, OSError) as error:
            log.warning("no budget was checked: %s", type(error).__name__)
            self._paused_until = now + PAUSE_S
            return None
        return cast("list[int]", answer)
