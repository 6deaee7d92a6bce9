"""Logging as one JSON object a line, with secrets blotted out.

Called by `__main__.py` and by each worker. Our own code never logs a token; the blots
are for what others put into their messages (an upstream's text, a library's repr).
"""

import logging
import os
import re
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import orjson

from .trace import current_request_id

_SECRETS = re.compile(
    r"Fe26\.2\*[^\s\"']+"  # a sealed session
    r"|eyJ[\w-]{5,}\.[\w-]+\.[\w-]*"  # a JWT
    r"|(?i:bearer\s+)[^\s\"',]+"
    r"|(?i:(?:sig|signature|x-amz-signature|x-goog-signature)=)[^\s&\"']+"
    r"|(?<=://)[^\s/@\"']+(?=@)"  # user and password in an address
)
_BLOT = "[removed]"

# What `logging` puts into every record.
_BLANK: Final[Mapping[str, object]] = vars(logging.makeLogRecord({}))


class Line:
    """A kind of line that is written often: `Logger.log` takes 8 µs more for each."""

    def __init__(self, logger: logging.Logger, level: int, message: str) -> None:
        self._logger = logger
        self._level = level
        # A dict in one piece, which is copied as one.
        self._always = {
            **_BLANK,
            "name": logger.name,
            "levelno": level,
            "levelname": logging.getLevelName(level),
            "msg": message,
        }

    @property
    def is_wanted(self) -> bool:
        """Whether anybody listens."""
        return self._logger.isEnabledFor(self._level)

    def record(self, fields: Mapping[str, object]) -> logging.LogRecord:
        """A record with all that `logging` puts into one, and `fields`."""
        record = logging.LogRecord.__new__(logging.LogRecord)
        created = time.time()
        record.__dict__ = {
            **self._always,
            "created": created,
            "msecs": created % 1 * 1000,
            "fields": fields,
        }
        return record

    def write(self, fields: Mapping[str, object]) -> None:
        self._logger.handle(self.record(fields))


class JSONFormatter(logging.Formatter):
    """A record as one line of JSON; times are UTC, in milliseconds."""

    _second = -1
    _text = ""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": self._time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (request_id := current_request_id.get()) is not None:
            line["requestId"] = request_id
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return blot(orjson.dumps(line, default=str).decode())

    def _time(self, created: float) -> str:
        """Most lines are of the same second as the line before."""
        second = int(created)
        if second != self._second:
            text = datetime.fromtimestamp(second, UTC).isoformat()
            self._second, self._text = second, text.removesuffix("+00:00")
        return f"{self._text}.{int((created - second) * 1000):03}+00:00"


class LineHandler(logging.Handler):
    """Writes a line with one system call, as soon as it is there."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{self.format(record)}\n".encode()
            while line:  # a full pipe takes what it has room for
                line = line[os.write(self._descriptor, line) :]
        except Exception:
            self.handleError(record)


def blot(text: str) -> str:
    """The text without what looks like a token, a seal or a signature."""
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
    handler.setFormatter(JSONFormatter())
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
