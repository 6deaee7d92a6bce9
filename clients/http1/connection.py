"""One connection: a call at a time, its answer read by httptools (llhttp, strict).

The parser refuses what smugglers use: two lengths, a length beside a transfer coding,
bare line feeds, folded lines. What it cannot know is kept here: that HEAD has no body,
that a body without a length ends with the connection, and all bounds.

No call has a timer of its own: the pool looks at `due` now and then.
"""

import asyncio
import select
from math import inf
from typing import Final, Protocol, cast

import httptools
import msgspec

from clients.transport import READ_FIELDS, Answer, TransportError, Trouble

from .body import Body

# Of a head, and of what may come between two pieces of a body (chunk extensions,
# trailers). Servers in use take 8 to 16 KiB of head themselves.
MOST_HEAD_BYTES: Final = 64 * 1024
_MOST_NAMES: Final = 256
_WITHOUT_BODY: Final = frozenset({204, 304})
_UNPARSED: Final = (httptools.HttpParserError, httptools.HttpParserUpgrade)


class Owner(Protocol):
    """Who takes a connection back: a pool."""

    def rest(self, connection: "Connection") -> None:
        """It may be used for another call."""

    def forget(self, connection: "Connection", *, stale: bool) -> None:
        """It is gone. `stale`: it had waited to be used again and was found dead, so
        that others that waited beside it may well be dead too."""


class Asking(msgspec.Struct, frozen=True, gc=False):
    """The bounds of a call; `ends_at` is in the loop's time."""

    ends_at: float
    read_s: float
    most_bytes: float
    is_head: bool


class _Names(dict[bytes, str]):
    """Field names in lower case, empty for one that nobody reads; they are few."""

    def __missing__(self, raw: bytes) -> str:
        name = raw.decode("latin-1").lower()
        if name not in READ_FIELDS:
            name = ""
        if len(self) < _MOST_NAMES:
            self[raw] = name
        return name


_NAMES: Final = _Names()


class _RefusedError(Exception):
    """Stops the parser from within; never seen outside."""


class Connection(asyncio.Protocol):
    """Idle, or busy with one call, whose answer comes whole or in pieces."""

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self._owner = owner
        self._loop = loop
        self._chunks: list[bytes] = []
        # What was gathered of a body that came in several reads.
        self._parts: list[bytes] = []
        # The parser calls it for each piece of a body, without any Python of ours.
        self.on_body = self._chunks.append
        self._parser = httptools.HttpResponseParser(self)
        self.due = inf
        self._waiter: asyncio.Future[Answer] | None = None
        self._answered: asyncio.Future[Body] | None = None
        self._stream: Body | None = None
        self._room: asyncio.Future[None] | None = None
        self._headers: dict[str, str] = {}
        self._busy = self._sending = self._used = self._closed = False
        self._oversize = False

    # ------------------------------------------------------------ for the transport

    @property
    def usable(self) -> bool:
        """A request can be written."""
        return not (self._closed or self.is_closing())

    def exchange(self, message: bytes, asking: Asking) -> asyncio.Future[Answer]:
        """Send; the answer comes whole."""
        self._begin(asking)
        self._waiter = waiter = self._loop.create_future()
        self._transport.write(message)
        return waiter

    def open(
        self, message: bytes, asking: Asking, *, more: bool = False
    ) -> asyncio.Future[Body]:
        """Send; status and headers come, and the body as it is read.

        With `more` to be sent, `send` follows, and in the end `sent`.
        """
        self._begin(asking)
        self._answered = answered = self._loop.create_future()
        if more:
            self._sending, self.due = True, inf
        self._transport.write(message)
        return answered

    async def send(self, data: bytes) -> bool:
        """More of the request; the upstream must take it within `read_s`.

        False: it is not wanted, since an answer or the connection's end came first.
        """
        if self._answered is None or not self.usable:
            return False
        self._transport.write(data)
        if self._room is not None:
            self.wait_for_more()
            await self._room
            self.due = inf
        return self._answered is not None

    def sent(self) -> None:
        """The request is whole."""
        self._sending = False
        if self._answered is not None:
            self.wait_for_more()

    def wait_for_more(self) -> None:
        """See `Source`: something must come, or be taken, within `read_s`."""
        self.due = self._loop.time() + self._asking.read_s

    def abandon(self, held: object) -> None:
        """Who holds this future or body waits no more: cut off what is under way."""
        if held is self._waiter or held is self._answered or held is self._stream:
            self._close()

    def pause(self) -> None:
        """See `Source`."""
        self._transport.pause_reading()

    def resume(self) -> None:
        """See `Source`."""
        self._transport.resume_reading()

    # ------------------------------------------------------------ for the pool

    def overdue(self) -> None:
        """`due` has passed: of the call, or of the time to be idle."""
        self._fail("timeout", "no answer in time")

    def break_off(self) -> None:
        """The pool has no more use for it."""
        self._fail("lost", "the connection was closed")

    def has_news(self) -> bool:
        """While idle: the upstream closed it, or spoke unasked, just now.

        The loop will say so on its next turn: too late for a write, whose outcome
        would then be unknown. Costs a system call.
        """
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    # ------------------------------------------------------------ for the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # For `take`, without a function of ours.
        self.is_closing = transport.is_closing

    def data_received(self, data: bytes) -> None:
        if not self._busy:
            # Nothing was asked: more than an answer, or a word before closing.
            self._close()
        elif not self._status and len(data) > MOST_HEAD_BYTES - self._since_body:
            self._read_long_head(data)
        else:
            try:
                self._parser.feed_data(data)
            except _UNPARSED:
                if not self._is_whole():
                    return
            if self._complete:
                self._end()
            else:
                self._go_on(len(data))

    def eof_received(self) -> None:
        self._lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(exc)
        # The two hold each other; so both go without the garbage collector.
        del self._parser

    def pause_writing(self) -> None:
        if not self._closed:
            self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    # ------------------------------------------------------------ for the parser

    def on_message_begin(self) -> None:
        if self._complete:
            raise _RefusedError

    def on_header(self, raw: bytes, value: bytes) -> None:
        name = _NAMES[raw]
        if name:
            headers, text = self._headers, value.strip().decode("latin-1")
            headers[name] = text if name not in headers else f"{headers[name]}, {text}"

    def on_headers_complete(self) -> None:
        status, headers = self._parser.get_status_code(), self._headers
        # For trailers, or the answer after an interim one. Trailers are not used.
        self._headers = {}
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if status < 200:
            # 101 was not asked for; a body here would hide the answer behind it.
            if status == 101 or coding is not None or length is not None:
                raise _RefusedError
            self._interim = True
            return
        self._status, self._fields = status, headers
        if self._asking.is_head:
            self._complete = True
            self._keeps = coding is None and self._parser.should_keep_alive()
        elif coding is not None:
            if coding.lower() != "chunked":
                raise _RefusedError
        elif length is None:
            self._ends_with_connection = status not in _WITHOUT_BODY
        elif int(length) > self._asking.most_bytes and status not in _WITHOUT_BODY:
            self._oversize = True
            raise _RefusedError

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        elif not self._asking.is_head:
            self._complete = True
            # Now: the parser forgets it before it returns.
            self._keeps = self._parser.should_keep_alive()

    # ------------------------------------------------------------ within

    def _begin(self, asking: Asking) -> None:
        self._asking = asking
        due, ends_at = self._loop.time() + asking.read_s, asking.ends_at
        self.due = due if due < ends_at else ends_at
        self._busy = True
        self._headers = {}
        self._status = self._since_body = self._size = 0
        self._complete = self._interim = self._ends_with_connection = False
        self._keeps = False

    def _read(self, data: bytes) -> bool:
        """Parse. False: the call has failed."""
        try:
            self._parser.feed_data(data)
        except _UNPARSED:
            return self._is_whole()
        return True

    def _is_whole(self) -> bool:
        """After the parser refused to go on. False: the call has failed."""
        if self._complete:
            # What follows the answer is nobody's.
            self._keeps = False
        elif self._oversize:
            self._fail_oversize()
        else:
            self._fail("malformed", "the answer is not HTTP/1.1")
        return self._complete

    def _read_long_head(self, data: bytes) -> None:
        """Look at no more of it than a head may have, before the rest."""
        room = MOST_HEAD_BYTES - self._since_body
        if not self._read(data[:room]):
            return
        if not self._status:
            self._fail("malformed", "the head of the answer has no end")
        elif self._read(data[room:]):
            if self._complete:
                self._end()
            else:
                self._go_on(len(data))

    def _go_on(self, size: int) -> None:
        """More is to come; `size` bytes have."""
        if self._chunks:
            self._since_body = 0
        else:
            self._since_body += size
            if self._since_body > MOST_HEAD_BYTES:
                self._fail("malformed", "the answer has more frame than body")
                return
        if self._waiter is not None:
            self._gather()
        elif not self._status:
            if not self._sending:
                self._renew()
        else:
            self._pass_on()

    def _gather(self) -> None:
        """Of an answer that comes whole: keep what there is, and bound it.

        In one piece: a million chunks of one byte each must not need 60 MB.
        """
        piece = b"".join(self._chunks)
        self._chunks.clear()
        self._parts.append(piece)
        self._size += len(piece)
        if self._size > self._asking.most_bytes:
            self._fail_oversize()
        else:
            self._renew()

    def _renew(self) -> None:
        due, ends_at = self._loop.time() + self._asking.read_s, self._asking.ends_at
        self.due = due if due < ends_at else ends_at

    def _pass_on(self) -> Body:
        """Of an answer in pieces: its head, once, and what there is of its body."""
        stream, answered = self._stream, self._answered
        if stream is None:
            self._stream = stream = Body(self, self._status, self._fields)
            self._answered, self.due = None, inf
            self.resume_writing()
            if answered is not None and not answered.done():
                answered.set_result(stream)
        if self._chunks:
            self.due = inf
            stream.feed(self._chunks)
            self._chunks.clear()
        return stream

    def _end(self) -> None:
        """The answer is whole. First the connection is free, then the caller wakes."""
        if self._asking.is_head:
            self._end_head()
        waiter, stream, body = self._waiter, None, b""
        if waiter is None:
            stream = self._pass_on()
            self._transport.resume_reading()
        else:
            pieces = self._chunks
            if self._parts:
                pieces[:0] = self._parts
                self._parts.clear()
            body = b"".join(pieces)
            pieces.clear()
            if len(body) > self._asking.most_bytes:
                self._fail_oversize()
                return
        self._waiter = self._stream = None
        self._busy = False
        if self._keeps and not self._sending:
            self._used = True
            self._owner.rest(self)
        else:
            self._close()
        if stream is not None:
            stream.end()
        elif waiter is not None and not waiter.done():
            waiter.set_result(Answer(self._status, self._fields, body))

    def _end_head(self) -> None:
        """After a HEAD the parser waits for a body, and what came is no part of it."""
        self._keeps = self._keeps and not self._chunks
        self._chunks.clear()
        self._parser = httptools.HttpResponseParser(self)

    def _lost(self, exc: Exception | None) -> None:
        if self._busy and self._status and self._ends_with_connection and exc is None:
            self._end()
        else:
            self._fail("lost", "the connection broke")

    def _fail_oversize(self) -> None:
        self._fail("oversize", f"larger than {self._asking.most_bytes} bytes")

    def _fail(self, trouble: Trouble, message: str) -> None:
        """Whoever waits hears of it; an idle connection is closed and that is all."""
        if not self._busy:
            self._close()
            return
        error = TransportError(trouble, message, sent=True)
        unheard = not (self._status or self._since_body)
        waiter, answered, stream = self._waiter, self._answered, self._stream
        self._close(stale=unheard and self._used and trouble == "lost")
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
        if answered is not None and not answered.done():
            answered.set_exception(error)
        if stream is not None:
            stream.end(error)

    def _close(self, *, stale: bool = False) -> None:
        """At once: nothing that is still to be written or read is wanted."""
        if self._closed:
            return
        self._closed = True
        self._busy = False
        self._waiter = self._answered = self._stream = None
        self._transport.abort()
        self.resume_writing()
        self._owner.forget(self, stale=stale)
