"""Settings of live changes: sockets, event streams, subscriptions.

Read by `settings.py`; used by `websocket.py`, `event_stream.py` and `resources.py`.
"""

from dataclasses import dataclass

from .environment import EnvironmentReader


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    per_socket: int
    per_session: int
    backlog: int
    init_timeout_s: float
    idle_s: float
    ping_s: float
    session_check_s: float
    max_message_bytes: int
    # A client that takes nothing for so long is given up.
    send_s: float = 10.0


def read_live(read: EnvironmentReader) -> LiveSettings:
    return LiveSettings(
        per_socket=read.integer("SUBSCRIPTIONS_PER_SOCKET", least=1, most=1000),
        per_session=read.integer("SUBSCRIPTIONS_PER_SESSION", least=1, most=10_000),
        backlog=read.integer("SUBSCRIPTION_BACKLOG", least=1, most=100_000),
        init_timeout_s=read.seconds("SOCKET_INIT_TIMEOUT_S", most=60),
        idle_s=read.seconds("SOCKET_IDLE_S", most=86_400),
        ping_s=read.seconds("LIVE_PING_S", most=300),
        session_check_s=read.seconds("LIVE_SESSION_CHECK_S", most=3600),
        max_message_bytes=read.integer("SOCKET_MESSAGE_BYTES", least=1024, most=2**24),
    )
