"""`feed audit`: who changed what by hand, and when."""

import json
from typing import Annotated

import typer

from deploy.database_command import fail, in_transaction
from storage import audit
from storage.audit import Recorded, Subject


def audit_log(
    *,
    subject: Annotated[str, typer.Option(help="correction, experiment or model, or one of them: experiment/calm")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="most of them")] = 100,
) -> None:
    """List what was changed by hand, newest first."""
    kind, _, subject_id = subject.partition("/")
    if kind and kind not in set(Subject):
        fail(f"--subject: must be {', '.join(Subject)}, or one of them, such as experiment/calm", code=2)
    wanted = Subject(kind) if kind else None
    found = in_transaction(
        lambda connection: audit.list_newest(connection, limit, subject=wanted, subject_id=subject_id), {}
    )
    for each in found:
        typer.echo(_line(each))


def _line(each: Recorded) -> str:
    change = each.change
    parts = (
        f"{each.created_at:%Y-%m-%d %H:%M:%S}",
        f"{change.subject}/{change.subject_id}",
        change.action,
        f"by {change.actor.name}",
        f"({change.actor.door})",
        json.dumps(change.details) if change.details else "",
    )
    return "  ".join(part for part in parts if part)
