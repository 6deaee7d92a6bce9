"""`RedisLedger`: how many calls to an upstream are left, counted for all processes.

A `clients.budget.Ledger`, made by `server/resources.py`. For each payer a list in Redis
of the times at which tokens were given out, oldest first, by the clock of Redis, and
never longer than the budget. Asked once for a handful of tokens, not for each call.

While Redis does not answer, each process spends its own share of the budget (the
budget divided by `WORKERS`) and asks again a moment later: no call fails for that.
"""

import asyncio
import logging
from typing import Final, cast

from redis.exceptions import RedisClusterException, RedisError

from clients.budget import PLENTY, Grant, LocalLedger, Rate

from .records import digest
from .redis_connection import RedisCommands
from .redis_scripts import Script

ANSWER_S: Final = 0.5
# After a failure Redis is left alone for so long.
PAUSE_S: Final = 1.0
PREFIX: Final = "mainstem:calls:"

_SETTLE: Final = (
    "local t = redis.call('TIME') "
    "local now = t[1] * 1000 + math.floor(t[2] / 1000) "
    "local calls, span = tonumber(ARGV[1]), tonumber(ARGV[2]) "
    "local function drop(until_) "
    "local oldest = redis.call('LINDEX', KEYS[1], 0) "
    "while oldest and tonumber(oldest) <= until_ do redis.call('LPOP', KEYS[1]) "
    "oldest = redis.call('LINDEX', KEYS[1], 0) end return oldest end "
    "local oldest = drop(now - span) "
)
# Its life is renewed only by what is given out: should the clock of Redis be set back,
# the list, whose times are then to come, ends by itself.
_ASK: Final = Script(
    _SETTLE + "local wanted, spare = tonumber(ARGV[3]), tonumber(ARGV[4]) "
    "local free = calls - redis.call('LLEN', KEYS[1]) "
    "local tokens = math.max(0, math.min(wanted, free)) "
    "tokens = tokens + math.max(0, math.min(spare, "
    f"math.floor((free - wanted) / {PLENTY}))) "
    "for _ = 1, tokens do redis.call('RPUSH', KEYS[1], now) end "
    "if tokens > 0 then redis.call('PEXPIRE', KEYS[1], span) end "
    "local reply = {tokens, now} "
    "if tokens < wanted then "
    "for _, given in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do "
    "reply[#reply + 1] = math.max(0, given + span - now) end end return reply"
)
_GIVE_BACK: Final = Script("return redis.call('LREM', KEYS[1], -ARGV[1], ARGV[2])")
_EXHAUST: Final = Script(
    _SETTLE + "local wait = tonumber(ARGV[3]) "
    "if wait < 0 then wait = oldest and oldest + span - now or tonumber(ARGV[4]) end "
    "local given = now + math.min(wait, span) - span "
    "drop(given) "
    "for _ = 1, calls - redis.call('LLEN', KEYS[1]) do "
    "redis.call('LPUSH', KEYS[1], given) end "
    "return redis.call('PEXPIRE', KEYS[1], span)"
)

log = logging.getLogger("mainstem.limits")


class RedisLedger:
    """`name` tells upstreams apart, also those of other servers over this Redis.

    `processes` share the budget while Redis cannot be asked.
    """

    def __init__(
        self, redis: RedisCommands, name: str, rate: Rate, *, processes: int
    ) -> None:
        self._redis = redis
        self._name = name
        self._rate = rate
        self._share = LocalLedger(rate.share(processes))
        self._paused_until = 0.0

    @property
    def counts_for_all(self) -> bool:
        """False for a moment after Redis did not answer."""
        return asyncio.get_running_loop().time() >= self._paused_until

    async def ask(self, payer: str, wanted: int, spare: int) -> Grant:
        """See `Ledger.ask`."""
        answer = await self._run(_ASK, payer, wanted, spare)
        if answer is None:
            return await self._share.ask(payer, wanted, 0)
        tokens, stamp, *waits_ms = cast("list[int]", answer)
        return Grant(tokens, [wait_ms / 1000 for wait_ms in waits_ms], stamp)

    async def give_back(self, payer: str, grant: Grant, tokens: int) -> None:
        """See `Ledger.give_back`."""
        if grant.stamp is None:
            await self._share.give_back(payer, grant, tokens)
        else:
            await self._command(_GIVE_BACK, payer, tokens, grant.stamp)

    async def exhaust(self, payer: str, wait_s: float | None) -> None:
        """See `Ledger.exhaust`."""
        wait_ms = -1 if wait_s is None else int(wait_s * 1000)
        window_ms = int(self._rate.window_s * 1000)
        if await self._run(_EXHAUST, payer, wait_ms, window_ms) is None:
            await self._share.exhaust(payer, wait_s)

    async def _run(self, script: Script, payer: str, *arguments: object) -> object:
        span_ms = int(self._rate.span_s * 1000)
        return await self._command(script, payer, self._rate.calls, span_ms, *arguments)

    async def _command(self, script: Script, payer: str, *arguments: object) -> object:
        """What the script answers; None while Redis does not."""
        if not self.counts_for_all:
            return None
        # An address is a person's: only its digest is written down.
        name = PREFIX + digest(f"{self._name} {payer}")
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._redis.execute_command(
                    "EVAL", script.source, 1, name, *arguments
                )
        except (RedisError, RedisClusterException, OSError) as error:
            log.warning("calls are counted here only: %s", type(error).__name__)
            self._paused_until = asyncio.get_running_loop().time() + PAUSE_S
            return None
