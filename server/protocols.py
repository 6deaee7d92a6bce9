"""uvicorn's protocols, with what it leaves out: bounds, a farewell, a shorter way out.

Made by uvicorn for every connection, and by `workers.py` for the last ones. uvicorn has
no time-out for a client that connects and says nothing, says its headers a byte at a
time, or does not read what it is sent; nor, with httptools, a bound on the size of
headers. Requests are put together here, in fewer steps than uvicorn's, and become a
`Cycle` (`cycle.py`).
Relies on uvicorn handing the lifespan's state to each protocol as `app_state`, its own
settings as `config`, and on its `cycle`, the request under way.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import httptools
import uvicorn
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import (
    WebSocketsSansIOProtocol,
)

from .cycle import Cycle
from .head import DIRECT, HEAD, Head

# Names of events in the lifespan's state: streams end; nobody new should come.
STOPPING: Final = "stopping"
LEAVING: Final = "leaving"

# A client that has been sent more than a buffer takes at least so much in `SLOW_S`.
SLOW_S: Final = 20.0
SLOW_BYTES: Final = 20 * 1024

# A connection without a request may still ask, when nobody listens any more: what it
# asks may be on the way, and closing would lose it unread. A client that is far away,
# or has no core to itself, takes most of a second.
LAST_QUESTION_S: Final = 1.0

# uvloop tells the time in milliseconds.
CLOCK_S: Final = 0.001

# Of the request line with its headers, and of what may follow a body: 16 full cookies.
LARGEST_HEAD_BYTES: Final = 64 * 1024

_SLASH: Final = ord("/")

_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n"
)
_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n"
_TOO_MANY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\r\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRules:
    """`head_s`: for the headers of a request; `leave_s`: see `SHUTDOWN_DELAY_S`.

    `most` connections of one process: descriptors must be left for the upstreams.
    """

    head_s: float = 10.0
    leave_s: float = 0.0
    most: int = 100_000


class ServingConfig(uvicorn.Config):
    """uvicorn's settings and ours; handed to every worker process and protocol."""

    rules = ConnectionRules()


class StreamingHTTPProtocol(HttpToolsProtocol):
    """A connection that is bounded in time, and told when the server stops."""

    config: ServingConfig
    cycle: Cycle
    _head_timer: asyncio.TimerHandle | None = None
    _reader_timer: asyncio.TimerHandle | None = None
    _idle_timer: asyncio.TimerHandle | None = None
    _idle_since: float | None = None  # the loop's time; None: something is going on
    _is_leaving = False
    _in_head = False
    _upgrades = False
    _head_bytes = 0  # that came since the last head, or piece of a body, was whole

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        leaving = self.app_state.get(LEAVING)
        self._is_leaving = isinstance(leaving, asyncio.Event) and leaving.is_set()
        if len(self.connections) > self.config.rules.most:
            transport.write(_TOO_MANY)
            transport.close()
        else:
            self._expect_head()
            self._look_whether_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > LARGEST_HEAD_BYTES:
            self._end_large_head()
        if self._head_timer is None:
            if self._in_head:
                self._expect_head()
        elif not self._in_head and self.cycle is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def on_message_begin(self) -> None:
        self._idle_since = None
        self.url = b""
        self.headers = []
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """As uvicorn has it, without the limit that we do not set, in one step."""
        parser = self.parser
        version, method = parser.get_http_version(), parser.get_method()
        self.scope = scope = self._scope(version, method.decode("ascii"))
        self._in_head = False
        self._head_bytes = 0
        self._upgrades = parser.should_upgrade() and self._should_upgrade()
        if self._upgrades:
            return
        head = scope[HEAD] = Head(self.headers)
        # None before the first request, whatever uvicorn's annotation says.
        idle = getattr(self.cycle, "response_complete", True)
        cycle = self.cycle = Cycle(
            scope,
            self.transport,
            self.flow,
            self.server_state.default_headers,
            self.on_response_complete,
            keep_alive=version != "1.0"
            and parser.should_keep_alive()
            and not self._is_leaving,
            expects_100_continue=b"expect" in head and self._expects_100_continue(),
        )
        scope[DIRECT] = cycle
        self.headers = []  # for trailers, which nobody reads
        if idle:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def _expects_100_continue(self) -> bool:
        """The client sends its body when it is told that it may."""
        expected = (value for name, value in self.headers if name == b"expect")
        return any(value.lower() == b"100-continue" for value in expected)

    def _scope(self, version: str, method: str) -> Any:
        url = self.url
        if url[1:].isalnum() and url[0] == _SLASH:  # as `/graphql`
            raw_path, query, path = url, b"", url.decode("ascii")
        else:
            parsed = httptools.parse_url(url)
            raw_path, query = parsed.path, parsed.query or b""
            path = unquote(raw_path.decode("ascii"))
        root = self.root_path
        return {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": root,
            "headers": self.headers,
            "state": self.app_state.copy(),
            "method": method,
            "path": root + path,
            "raw_path": root.encode("ascii") + raw_path,
            "query_string": query,
        }

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        cycle = self.cycle
        if self._upgrades:
            return
        if cycle.response_complete:
            self._idle_since = self.loop.time()  # the rest of what needed no reading
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        if cycle.news is not None:
            cycle.news.set()

    def on_message_complete(self) -> None:
        self._head_bytes = 0
        cycle = self.cycle
        if self._upgrades or cycle.response_complete:
            return
        cycle.more_body = False
        if cycle.news is not None:
            cycle.news.set()

    def handle_websocket_upgrade(self) -> None:
        self._stop_timers()  # sockets have bounds of their own
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    def on_response_complete(self) -> None:
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        # The rest of uvicorn's own, with the time in the place of a timer.
        self.server_state.total_requests += 1
        if self.flow.read_paused:
            self.flow.resume_reading()
        # A next request may have begun, and is bounded as such.
        self._idle_since = None if self._in_head else self.loop.time()

    def _unset_keepalive_if_required(self) -> None:
        """Nothing: an idle connection has no timer of its own for each request."""

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size() > 0:
            self.transport.abort()  # closing would wait for the client to read
        super().timeout_keep_alive_handler()

    def leave(self) -> None:
        """Answers say from now on that the connection closes after them."""
        self._is_leaving = True
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """End after the answer under way, or soon if there is none. LEAVING is set."""
        self.leave()
        idle = getattr(self.cycle, "response_complete", True)
        if idle and not self._in_head:
            self._stop_timers()
            self._expect_head(LAST_QUESTION_S)
        stopping = self.app_state.get(STOPPING)
        if isinstance(stopping, asyncio.Event):
            stopping.set()

    def _look_whether_idle(self) -> None:
        """One timer for all requests of a connection, which ends it when it is time."""
        left_s: float = self.timeout_keep_alive
        if self._idle_since is not None:
            left_s += self._idle_since - self.loop.time()
        if left_s < CLOCK_S:
            self.timeout_keep_alive_handler()
        else:
            self._idle_timer = self.loop.call_later(left_s, self._look_whether_idle)

    def _expect_head(self, within_s: float | None = None) -> None:
        if within_s is None:
            within_s = self.config.rules.head_s
        self._head_timer = self.loop.call_later(within_s, self._end_slow_head)

    def _end_slow_head(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        if self._in_head:
            self.transport.write(_TOO_SLOW)
        self.transport.close()

    def _end_large_head(self) -> None:
        """Also of trailers and of the extensions of a chunk, in mid-request."""
        if self._in_head and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        else:
            self.transport.abort()

    def _watch_reader(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._reader_timer = self.loop.call_later(SLOW_S, self._judge_reader, left)

    def _judge_reader(self, before: int) -> None:
        """While writing is paused nothing is added, so the buffer shows the pace."""
        if self.transport.get_write_buffer_size() > before - SLOW_BYTES:
            self.transport.abort()
        else:
            self._watch_reader()

    def _stop_timers(self) -> None:
        for timer in (self._head_timer, self._reader_timer, self._idle_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._reader_timer = self._idle_timer = None


class AbortingSocketProtocol(WebSocketsSansIOProtocol):
    """Cuts off a client that neither answers a ping nor reads what it was sent.

    uvicorn closes such a connection, which waits for the client to read the rest.
    """

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        if self.transport.get_write_buffer_size() > 0:
            self.transport.abort()
