"""The Lua scripts of `session/redis_vault.py`: what must happen in one step on a name.

Each touches exactly one name, so that a Cluster can run it on that name's node.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script on one name; sent in full only where the server lacks it."""

    source: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        # The server's own name for a script, no protection of anything.
        digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)


SWAP: Final = Script(
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "
    "redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) return 1"
)
DISCARD: Final = Script(
    "local now = redis.call('GET', KEYS[1]) "
    "if now and now ~= ARGV[1] then return 0 end "
    "redis.call('DEL', KEYS[1]) return 1"
)
ENTER: Final = Script(
    "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) "
    "return redis.call('EXPIRE', KEYS[1], ARGV[3])"
)
TOUCH: Final = Script(
    "if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end "
    "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) "
    "return redis.call('EXPIRE', KEYS[1], ARGV[3])"
)
# Winning and extending are one: a lease that ended unnoticed is won back if it is
# still free, and a repeated command after a lost answer does no harm.
HOLD: Final = Script(
    "local owner = redis.call('GET', KEYS[1]) "
    "if owner and owner ~= ARGV[1] then return 0 end "
    "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1"
)
RELEASE: Final = Script(
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "
    "return redis.call('DEL', KEYS[1])"
)
COUNT: Final = Script(
    "local count = redis.call('INCR', KEYS[1]) "
    "local left = redis.call('PTTL', KEYS[1]) "
    "if left < 0 then left = ARGV[1] * 1000 "
    "redis.call('PEXPIRE', KEYS[1], left) end return {count, left}"
)
CLAIM: Final = Script(
    "local now = redis.call('GET', KEYS[1]) "
    "if now then return {now, redis.call('PTTL', KEYS[1])} end "
    "redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) return false"
)
