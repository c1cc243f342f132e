"""`feed interactions tail`: the events of the log as they come."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
import typer

from eventlog.ports import EventLogError, StoredRecord
from eventlog.tail import Tail, open_tail
from eventlog.topics import INTERACTIONS
from interactions.domain.event import InteractionEvent, InteractionType
from interactions.domain.log_record import UnreadableError, decode
from interactions.domain.rules import instant
from runtime.settings import CommonSettings, SettingsError, load

_MAX_RECORDS: Final = 500
_POLL_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Filters:
    """Which events are shown.

    Args:
        user_id: Of this user; empty: of all.
        interaction_type: Of this type; None: of all.
    """

    user_id: str = ""
    interaction_type: InteractionType | None = None

    def show(self, event: InteractionEvent) -> bool:
        """Says whether an event is shown."""
        wanted = self.interaction_type in (None, event.interaction_type)
        return wanted and self.user_id in ("", event.user_id)

    def show_unreadable(self) -> bool:
        """Says whether a record is shown that nobody can read: only where everything is."""
        return self == Filters()


def tail(
    *,
    user: Annotated[str, typer.Option(help="Only this user's events.")] = "",
    kind: Annotated[str, typer.Option("--type", help="Only events of this type, such as LIKE.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="The log's own JSON, one line an event.")] = False,
    from_start: Annotated[bool, typer.Option(help="Begin with the oldest event that the log still has.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="End after so many lines; 0: go on until Ctrl-C.")] = 0,
) -> None:
    """Shows the events of the log as they come, until Ctrl-C. It is no reader of the log: nothing waits for it."""
    filters = Filters(user, _interaction_type(kind))
    settings = _settings()
    following = open_tail(settings, INTERACTIONS)
    try:
        following.start(from_oldest=from_start)
        place = settings.kafka_bootstrap_servers or settings.data_dir
        typer.echo(f"following {INTERACTIONS} in {place}; Ctrl-C ends", err=True)
        _show(following, filters, as_json=as_json, limit=limit)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # Whoever read the lines has left; Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (EventLogError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    finally:
        following.close()


def _show(following: Tail, filters: Filters, *, as_json: bool, limit: int) -> None:
    shown = 0
    while True:
        for record in following.poll(_MAX_RECORDS, _POLL_S):
            for line in lines(record, filters, as_json=as_json):
                typer.echo(line)
                shown += 1
                if shown == limit:
                    return


def lines(record: StoredRecord, filters: Filters, *, as_json: bool) -> Iterator[str]:
    """Yields the line of a record, if it is to be shown."""
    try:
        event = decode(record.value)
    except UnreadableError as error:
        if filters.show_unreadable():
            yield _unreadable_json(record, str(error)) if as_json else _unreadable(record, str(error))
        return
    if filters.show(event):
        yield msgspec.json.format(record.value, indent=-1).decode() if as_json else _readable(event, record)


def _readable(event: InteractionEvent, record: StoredRecord) -> str:
    details = (
        f"watched {event.watch_time_s:g} s" if event.watch_time_s else "",
        f"rated {event.rating:g}" if event.rating is not None else "",
        f"at {event.position}" if event.position else "",
        f"by {_printable(event.algorithm)}" if event.algorithm else "",
        f"session {event.feed_session_id}" if event.feed_session_id else "",
    )
    known = "  ".join(filter(None, details))
    what = f"{instant(event.event_time)}  {event.interaction_type:<7}  {event.user_id}  {event.video_id}"
    return "  ".join(filter(None, (what, known, _place(record))))


def _unreadable(record: StoredRecord, reason: str) -> str:
    return f"unreadable: {_printable(reason[:200])}  {_place(record)}"


def _unreadable_json(record: StoredRecord, reason: str) -> str:
    told = {"unreadable": reason, "partition": record.partition, "offset": record.offset}
    return msgspec.json.encode(told).decode()


def _place(record: StoredRecord) -> str:
    return f"#{record.partition}:{record.offset}"


def _printable(text: str) -> str:
    """Returns a text that cannot command a terminal."""
    return text if text.isprintable() else repr(text)


def _interaction_type(name: str) -> InteractionType | None:
    if not name:
        return None
    try:
        return InteractionType(name.upper())
    except ValueError:
        raise typer.BadParameter(f"must be one of {', '.join(InteractionType)}", param_hint="--type") from None


def _settings() -> CommonSettings:
    try:
        return load(CommonSettings, os.environ)
    except SettingsError as error:
        typer.echo(f"wrong settings:\n{error}", err=True)
        raise typer.Exit(2) from error
