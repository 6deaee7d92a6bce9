"""Logging as one JSON object a line, with secrets blotted out.

Called by `__main__.py` and by each worker. Our own code never logs a token; the blots
are for what others put into their messages (an upstream's text, a library's repr).
"""

import logging
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from .trace import current_request_id

_SECRETS = re.compile(
    r"Fe26\.2\*[^\s\"']+"  # a sealed session
    r"|eyJ[\w-]{5,}\.[\w-]+\.[\w-]*"  # a JWT
    r"|(?i:bearer\s+)[^\s\"',]+"
    r"|(?i:(?:sig|signature|x-amz-signature|x-goog-signature)=)[^\s&\"']+"
    r"|(?<=://)[^\s/@\"']+(?=@)"  # user and password in an address
)
_BLOT = "[removed]"

encoded: Final = msgspec.json.Encoder(enc_hook=str).encode

_MILLISECONDS: Final = tuple(f".{each:03}+00:00" for each in range(1000))


class Line:
    """A kind of line that is written often: `Logger.log` takes 20 µs more for each.

    Its values are not searched for secrets: what is foreign in them passes `blot`.
    """

    def __init__(
        self, logger: logging.Logger, level: int, message: str, fields: Sequence[str]
    ) -> None:
        self._logger = logger
        self._level = level
        self._fields = fields
        self._kind = (logging.getLevelName(level), logger.name, message)
        # Written in half the time of a dict.
        members = ("time", "level", "logger", "message", "requestId", *fields)
        self._made = msgspec.defstruct("Line", members, gc=False)

    def write(self, *values: object) -> None:
        """To all who listen; without a record, if that is only a `LineHandler`."""
        logger = self._logger
        if not logger.isEnabledFor(self._level):
            return
        # Whom `logging` would call for a record of this logger.
        root = logger.root
        handlers = root.handlers
        if (
            len(handlers) == 1
            and isinstance(only := handlers[0], LineHandler)
            and only.formatter is only.json
            and logger.parent is root
            and logger.propagate
            and not (logger.handlers or logger.filters or only.filters or only.level)
        ):
            only.put(self._made, self._kind, values)
        else:
            fields = dict(zip(self._fields, values, strict=True))
            logger.log(self._level, self._kind[-1], extra={"fields": fields})


class JSONFormatter(logging.Formatter):
    """A record as one line of JSON; times are UTC, in milliseconds."""

    _second = -1
    _text = ""

    def format(self, record: logging.LogRecord) -> str:
        now, request_id = self.opening(record.created)
        line: dict[str, object] = {
            "time": now,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id is not UNSET:
            line["requestId"] = request_id
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return blot(encoded(line).decode())

    def opening(self, created: float) -> tuple[str, str | UnsetType]:
        """The time as a line tells it, and the request that it belongs to, if any."""
        passed = created - self._second
        if not 0 <= passed < 1:  # most lines are of the second of the line before
            self._second = int(created)
            text = datetime.fromtimestamp(self._second, UTC).isoformat()
            self._text, passed = text.removesuffix("+00:00"), created - self._second
        now = self._text + _MILLISECONDS[int(passed * 1000)]
        request_id = current_request_id.get()
        if request_id is None:
            return now, UNSET
        # Ours are plain.
        return now, request_id if request_id.isalnum() else blot(request_id)


class LineHandler(logging.Handler):
    """Writes a line with one system call, as soon as it is there."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.json = self.formatter = JSONFormatter()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write(f"{self.format(record)}\n".encode())
        except Exception:
            self.handleError(record)

    def put(
        self,
        made: Callable[..., object],
        kind: tuple[str, str, str],
        values: tuple[object, ...],
    ) -> None:
        """A line that needs no record, since nobody else looks at it."""
        try:
            now, request_id = self.json.opening(time.time())
            line = encoded(made(now, *kind, request_id, *values)) + b"\n"
            with self.lock or nullcontext():
                self._write(line)
        except Exception:
            self.handleError(logging.makeLogRecord({"msg": kind[-1]}))

    def _write(self, line: bytes) -> None:
        while line:  # a full pipe takes what it has room for
            line = line[os.write(self._descriptor, line) :]


def blot(text: str) -> str:
    """The text without what looks like a token, a seal or a signature."""
    if text.isalnum():  # each of them has a dot, a colon, an asterisk, ...
        return text
    lower = text.lower()
    # Without one of these there is nothing to remove: ten times as quick.
    if (
        "://" in lower
        or "sig" in lower
        or "eyj" in lower
        or "bearer" in lower
        or "fe26.2*" in lower
    ):
        return _SECRETS.sub(_BLOT, text)
    return text


def configure_logging(level: str) -> None:
    handler = LineHandler(sys.stderr.fileno())
    # What a record knows of threads, processes and its caller costs more than the line,
    # which shows none of it.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # as the logging HOWTO says, under "Optimization"
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # One line per request is ours, and the start is told by __main__.py.
    for noisy in ("httpx", "httpcore", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
