"""Structured logs on standard error, one JSON object a line; what looks like a secret never leaves."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from functools import lru_cache

import structlog

_SECRET_NAMES = re.compile(
    r"authorization|cookie|secret|password|token|code|verifier|assertion|dpop|key|csrf", re.IGNORECASE
)
_SECRET_SHAPES = re.compile(
    # A JWT, tried at the beginning of a run of its characters only: from anywhere, long texts would take long.
    r"(?<![A-Za-z0-9_-])(?=[A-Za-z0-9_-]*ey)[A-Za-z0-9_-]{10,}+\.[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]*"
    r"|mcpb_[a-z]{2}_[A-Za-z0-9_-]{20,}|(?i:basic|bearer) \S+"
)
_SHORTEST = 20  # of these shapes, where no space stands in them
_HARMLESS = frozenset({"token_type", "status_code", "key_id", "kid", "error_code"})
_noted: ContextVar[dict[str, object] | None] = ContextVar("noted", default=None)


def begin() -> None:
    """From here on, what is noted belongs to a new request."""
    _noted.set({})


def note(**members: object) -> None:
    """Members for every later line of this request. Without a request, as in the database's writer, nothing."""
    noted = _noted.get()
    if noted is not None:
        noted.update(members)


def noted() -> Mapping[str, object]:
    return _noted.get() or {}


def _with_noted(_: object, __: str, event: MutableMapping[str, object]) -> Mapping[str, object]:
    return {**noted(), **event}


def redact(_: object, __: str, event: MutableMapping[str, object]) -> Mapping[str, object]:
    """A structlog processor: values of secret names and text of secret shape become ***."""
    for name, value in event.items():
        event[name] = _redacted(name, value)
    return event


def _redacted(name: str, value: object) -> object:
    if _secret_name(name):
        return "***"
    if isinstance(value, str):
        return value if len(value) < _SHORTEST and " " not in value else _SECRET_SHAPES.sub("***", value)
    if isinstance(value, Mapping):
        return {key: _redacted(str(key), inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted(name, inner) for inner in value]
    return value


def without_secrets(text: str) -> str:
    """`text` with *** in place of what has the shape of a secret."""
    return _SECRET_SHAPES.sub("***", text)


@lru_cache(maxsize=1024)
def _secret_name(name: str) -> bool:
    return name not in _HARMLESS and _SECRET_NAMES.search(name) is not None


def configure(level: str = "info") -> None:
    """Set up logging for this process; other libraries' debug output stays off (it prints tokens)."""
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[Relay()], force=True)
    logging.getLogger("authlib").setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            _with_noted,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=_Lines,
        cache_logger_on_first_use=True,
    )


class _Lines:
    """One write a line. A log that cannot be written (a full disk, a closed pipe) fails no request."""

    def __init__(self, *_: object) -> None:
        pass

    def msg(self, line: str) -> None:
        try:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            pass

    debug = info = warning = error = critical = msg


class Relay(logging.Handler):
    """What libraries log becomes lines like ours, redacted like ours."""

    def emit(self, record: logging.LogRecord) -> None:
        level = min(record.levelno // 10 * 10, logging.CRITICAL)
        logger(record.name).log(level, record.getMessage(), exc_info=record.exc_info)


RELAYED = {
    "handlers": {"relay": {"class": f"{__name__}.Relay"}},
    "loggers": {"_granian": {"handlers": ["relay"], "propagate": False}},
}
"""For the server's own logger: dictConfig's form."""


def logger(room: str) -> structlog.typing.FilteringBoundLogger:
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger(room=room)
    return bound
