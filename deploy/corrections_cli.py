"""`feed corrections`: what editors change by hand in everybody's feed, or in one user's."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Final

import typer

from deploy.database_command import by_operator, fail, in_transaction
from storage import corrections
from storage.correction_rules import Rule
from storage.corrections import StoredCorrection

app = typer.Typer(
    help="What editors change by hand: boost, reduce, block, reweight. Bridges obey within 5 s.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

# How each field is given here.
_OPTIONS: Final = {
    "correction_type": "KIND",
    "user_id": "--user",
    "video_id": "--video, --author, --tag or --language",
    "target_factor": "--part",
    "target_value": "--author, --tag or --language",
    "correction_value": "--value",
    "reason": "--reason",
    "admin_id": "--by",
}
_run = partial(in_transaction, options=_OPTIONS)


@app.command()
def add(  # noqa: PLR0913  # one option a field
    kind: Annotated[str, typer.Argument(help="boost, reduce, block or reweight")],
    *,
    reason: Annotated[str, typer.Option(help="why")],
    value: Annotated[float | None, typer.Option(help="how much, -100 to 100; for all but block")] = None,
    user: Annotated[str, typer.Option(help="only this user's feed")] = "",
    video: Annotated[str, typer.Option(help="only this video")] = "",
    author: Annotated[str, typer.Option(help="only videos by this author")] = "",
    tag: Annotated[str, typer.Option(help="only videos with this tag")] = "",
    language: Annotated[str, typer.Option(help="only videos in this language")] = "",
    part: Annotated[str, typer.Option(help="for reweight: user_item, item_bias or prior")] = "",
    by: Annotated[str, typer.Option(help="who changes it; default: the system's user")] = "",
) -> None:
    """Add a correction, and print its id."""
    targets = {"author": author, "tag": tag, "language": language}
    given = {factor: target for factor, target in targets.items() if target}
    if len(given) + bool(part) > 1:
        fail("give one of --author, --tag, --language and --part, not several", code=2)
    factor, target = next(iter(given.items()), (part, ""))
    rule = Rule(kind.upper(), user, video, target_factor=factor, target_value=target, value=value)
    made = _run(
        lambda connection: corrections.create(
            connection, rule, reason=reason, admin=by_operator(by), now=datetime.now(UTC)
        )
    )
    typer.echo(made.correction_id)


@app.command("list")
def list_(
    *,
    everything: Annotated[bool, typer.Option("--all", help="also those that are switched off")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="most of them")] = 100,
) -> None:
    """List the corrections in force, newest first."""
    for each in _run(lambda connection: corrections.list_newest(connection, limit, include_inactive=everything)):
        typer.echo(_line(each))


@app.command()
def off(
    correction_id: Annotated[str, typer.Argument(help="as `add` and `list` print it")],
    *,
    by: Annotated[str, typer.Option(help="who changes it; default: the system's user")] = "",
) -> None:
    """Switch a correction off; safe to repeat."""
    admin = by_operator(by)
    found = _run(
        lambda connection: corrections.deactivate(connection, correction_id, admin=admin, now=datetime.now(UTC))
    )
    if found is None:
        fail(f"there is no correction {correction_id}")
    typer.echo(_line(found))


def _line(each: StoredCorrection) -> str:
    rule = each.rule
    value = "" if rule.value is None else f" {rule.value:g}"
    parts = (
        each.correction_id,
        f"{each.created_at:%Y-%m-%d %H:%M:%S}",
        "" if each.is_active else "off",
        f"{rule.correction_type.lower()}{value}",
        f"user {rule.user_id}" if rule.user_id else "everybody",
        f"video {rule.video_id}" if rule.video_id else "",
        f"{rule.target_factor} {rule.target_value}".strip(),
        f'"{each.reason}"',
        f"by {each.admin_id}",
    )
    return "  ".join(part for part in parts if part)
