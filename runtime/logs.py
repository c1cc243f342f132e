"""JSON logs: one object a line on standard output."""

import logging
import sys
from typing import Any

import structlog

from runtime.request_context import request_id
from runtime.traces import tracing

# A value from outside is cut here, so that one request cannot flood the log (CWE-117, CWE-400).
MAX_VALUE_CHARS = 256


def configure(process: str, level: str = "INFO") -> None:
    """Makes structlog and the standard library write JSON lines that name the process."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _name_request,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _cut_values,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(process=process)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def _name_request(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    request = request_id()
    if request:
        event["request_id"] = request
    span = tracing.current()
    if span is not None:
        event["trace_id"] = f"{span.context.trace_id:032x}"
        event["span_id"] = f"{span.context.span_id:016x}"
    return event


def _cut_values(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for key, value in event.items():
        if isinstance(value, str) and len(value) > MAX_VALUE_CHARS and key != "exception":
            event[key] = value[:MAX_VALUE_CHARS] + "…"
    return event
