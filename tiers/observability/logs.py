# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs: one line for each event on standard error, as JSON or as text, with the id of the request that it belongs to.

    start_logs(settings.log_level, settings.log_format)
    with request_id("4f2a"):
        log.info("verified", extra={"items": 4096})

    {"time":"2026-01-05T12:00:00.123Z","level":"info","logger":"supervm.service","message":"verified",
     "request":"4f2a","items":4096}

Everything under the logger `supervm` is shown, the scheduler's fallbacks with their reasons among it. What a caller puts in
`extra` becomes a field; a field whose name says that it is a secret shows as "***".
"""

from __future__ import annotations

import logging
import re
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO

import msgspec

from supervm.tiers.plain_text import encodable, of_json, visible

ROOT = "supervm"

MOST_CHARACTERS = 2_000
"""Of a message or a field; what a client sends can be long."""

NUMBER = "process_number"
"""The field of a line that says which process of a service it is from."""

_SECRET = re.compile(r"token|secret|password|authorization|cookie|private_?key|credential", re.IGNORECASE)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_request: ContextVar[str] = ContextVar("supervm_request", default="")


def new_request_id() -> str:
    """An id that no other request has, 16 hex digits."""
    return secrets.token_hex(8)


@contextmanager
def request_id(identity: str) -> Iterator[None]:
    """Log lines of this task or thread carry the id inside the block."""
    token = _request.set(identity)
    try:
        yield
    finally:
        _request.reset(token)


def start_logs(
    level: str, form: str, stream: TextIO | None = None, process: int | None = None
) -> logging.Handler:
    """Show what is logged under `supervm`, in place of what an earlier call began.

    Args:
        level: the least that is shown, as in `settings_keys.LOG_LEVELS`.
        form: as in `settings_keys.LOG_FORMATS`.
        stream: where to; standard error if None.
        process: number of this process among those of a service, which lines then have.

    Returns:
        The handler, for who wants to remove it.
    """
    logger = logging.getLogger(ROOT)
    for old in [handler for handler in logger.handlers if isinstance(handler, _Lines)]:
        logger.removeHandler(old)
    handler = _Lines(stream or sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    if process is not None:
        handler.addFilter(lambda record: record.__dict__.setdefault(NUMBER, process) is not None)
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False
    return handler


def stop_logs() -> None:
    """Show nothing more, and leave the logger as it was."""
    logger = logging.getLogger(ROOT)
    for handler in [handler for handler in logger.handlers if isinstance(handler, _Lines)]:
        logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
    logger.propagate = True


class _Lines(logging.StreamHandler[TextIO]):
    """The handler of `start_logs`."""


class JsonLines(logging.Formatter):
    """A record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON with `time`, `level`, `logger`, `message` and the `fields` of the record."""
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _cut(record.getMessage()),
            **fields(record),
        }
        try:
            text = msgspec.json.encode(line, enc_hook=str)
        except UnicodeEncodeError:  # the name of a file that is no UTF-8
            text = msgspec.json.encode(encodable(line), enc_hook=str)
        return of_json(text.decode())


class TextLines(logging.Formatter):
    """A record as one line for people; control characters cannot begin another one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of time, level, logger and message, with NAME=VALUE behind it for each of the record's `fields`."""
        more = "".join(f" {name}={value}" for name, value in fields(record).items())
        line = f"{_time(record)} {record.levelname:<7} {record.name}: {_cut(record.getMessage())}{more}"
        return visible(line)


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """What a record carries besides its message: the request, the caller's fields, the traceback."""
    found: dict[str, Any] = {}
    if request := _request.get():
        found["request"] = request
    for name, value in vars(record).items():
        if name not in _STANDARD:
            found[name] = "***" if _SECRET.search(name) else _cut(value)
    if record.exc_info:
        found["error"] = logging.Formatter().formatException(record.exc_info)
    return found


def _cut(value: Any) -> Any:
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}… ({len(text)} characters)"


def _time(record: logging.LogRecord) -> str:
    """UTC, to the millisecond."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{whole}.{int(record.msecs):03d}Z"
