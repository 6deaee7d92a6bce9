"""One request of a connection and its answer: uvicorn's cycle, with shorter ways.

Made by `protocols.py`. uvicorn takes two messages for an answer, and a look at each
header; and some steps of the event loop's for a body that came with the headers. Where
an application asks for neither, all is as in uvicorn.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from .head import RawHeaders


class Cycle(RequestResponseCycle):
    """Also a `head.Direct`. What most requests leave as it is belongs to the class.

    Most are answered before anybody waits for news of the client, so the event of such
    news is made for the first who does.
    """

    logger = logging.getLogger("uvicorn.error")
    access_log = False  # telemetry.py writes one line per request
    disconnected = False
    more_body = True
    response_started = False
    response_complete = False
    chunked_encoding: bool | None = None
    expected_content_length = 0
    # Set when there is something to receive; None as long as nobody waits for it.
    news: asyncio.Event | None = None
    _is_read = False

    def __init__(
        self,
        scope: Any,
        transport: asyncio.Transport,
        flow: FlowControl,
        default_headers: RawHeaders,
        on_response: Callable[[], None],
        *,
        keep_alive: bool,
        expects_100_continue: bool,
    ) -> None:
        self.scope = scope
        self.transport = transport
        self.flow = flow
        self.default_headers = default_headers
        self.on_response = on_response
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = expects_100_continue
        self.body = bytearray()

    @property
    def message_event(self) -> asyncio.Event:  # type: ignore[override]
        """`news`, for uvicorn: when somebody waits for it, or the client has gone."""
        news = self.news
        if news is None:
            news = self.news = asyncio.Event()
            if not self._is_read and (self.body or not self.more_body):
                news.set()
        return news

    def whole_body(self, most: int) -> bytes | None:
        """See `head.Direct`."""
        if self.more_body or self.disconnected or self.waiting_for_100_continue:
            return None
        body = bytes(self.body)
        if len(body) > most:
            return None
        # As uvicorn's `receive` leaves it: the next one waits for the client to go.
        self.body = bytearray()
        self._is_read = True
        if self.news is not None:
            self.news.clear()
        if self.flow.read_paused:
            self.flow.resume_reading()
        return body

    def write_whole(
        self, status: int, lines: bytes, headers: RawHeaders, body: bytes
    ) -> bool:
        """See `head.Direct`; `headers` must tell the body's length.

        Not where it is not so simple: the client is gone or does not read, or the
        answer has begun.
        """
        if self.response_started or self.disconnected or self.flow.write_paused:
            return False
        fields = [*self.default_headers, *headers]
        rest = b"\r\n".join(map(b": ".join, fields))
        # A line that we did not write would be another's header.
        if rest.count(b"\n") >= len(fields):
            return False
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        end = b"\r\n\r\n" if self.keep_alive else b"\r\nconnection: close\r\n\r\n"
        self.transport.write(b"".join((STATUS_LINE[status], lines, rest, end, body)))
        if self.news is not None:
            self.news.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return True
