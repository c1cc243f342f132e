"""The `feed` command. Each command imports only what it needs."""

import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from runtime.settings import CommonSettings

app = typer.Typer(
    help="A recommendation bridge for a short-video feed.", no_args_is_help=True, pretty_exceptions_enable=False
)
import_app = typer.Typer(help="Bring real data in.", no_args_is_help=True)
topics_app = typer.Typer(help="The Kafka topics.", no_args_is_help=True)
db_app = typer.Typer(help="The database.", no_args_is_help=True)
app.add_typer(import_app, name="import")
app.add_typer(topics_app, name="topics")
app.add_typer(db_app, name="db")

# A command that hands its arguments on, so that its own parser answers --help.
FORWARD = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command(context_settings=FORWARD)
def bridge(context: typer.Context) -> None:
    """Run the gateway; `feed bridge breaker` shows its breakers and holds them open or closed."""
    if context.args[:1] == ["breaker"]:
        from bridge.breaker_cli import app as breaker_app

        breaker_app(args=context.args[1:], prog_name="feed bridge breaker")
    _become("bridge", context.args)


@app.command(context_settings=FORWARD)
def scorer(context: typer.Context) -> None:
    """Run the scoring server."""
    _become("scorer", context.args)


@app.command(context_settings=FORWARD)
def interactions(context: typer.Context) -> None:
    """Run the ingest of interactions; `feed interactions tail` shows events as they come."""
    if context.args[:1] == ["tail"]:
        from interactions.tail import tail

        _call(tail, "feed interactions tail", context.args[1:])
    else:
        _become("interactions", context.args)


@app.command(context_settings=FORWARD)
def sink(context: typer.Context) -> None:
    """Run the consumer that brings interactions into the database."""
    _become("interactions.sink", context.args)


@app.command(context_settings=FORWARD)
def insights(context: typer.Context) -> None:
    """Run the ledger of outcomes; `feed insights check` tells whether what was served and consumed is told whole."""
    if context.args[:1] == ["check"]:
        from deploy.insights_check import check

        _call(check, "feed insights check", context.args[1:])
    else:
        _become("insights", context.args)


@app.command(context_settings=FORWARD)
def trainer(context: typer.Context) -> None:
    """Export, fit, evaluate, promote, roll back, run or schedule the nightly training."""
    from trainer.cli import app as trainer_app

    trainer_app(args=context.args, prog_name="feed trainer")


@app.command("fake-scorer", context_settings=FORWARD)
def fake_scorer(context: typer.Context) -> None:
    """Run a scorer that does what a script says."""
    _become("fakes.scorer", context.args)


@app.command("fake-bridge", context_settings=FORWARD)
def fake_bridge(context: typer.Context) -> None:
    """Run a bridge on its own that gives every answer a bridge can give."""
    _become("fakes.bridge", context.args)


@app.command()
def up(
    *,
    broker: Annotated[str, typer.Option(help="embedded or kafka")] = "embedded",
    database: Annotated[str, typer.Option(help="embedded or postgres")] = "embedded",
    data: Annotated[Path | None, typer.Option(help="folder of a KuaiRand log, instead of simulated data")] = None,
) -> None:
    """Run the whole system on this machine until Ctrl-C."""
    from deploy.filling import OtherDataError
    from deploy.local.errors import LocalServerError
    from deploy.supervisor import StartError
    from deploy.up import StepError, Wishes
    from deploy.up import up as start
    from runtime.settings import SettingsError
    from storage.database import UnreachableDatabaseError

    wishes = Wishes(
        kafka=_choice("--broker", broker, "kafka"), postgres=_choice("--database", database, "postgres"), data=data
    )
    try:
        start(wishes)
    except (
        LocalServerError,
        OtherDataError,
        StartError,
        StepError,
        SettingsError,
        UnreachableDatabaseError,
    ) as error:
        _fail(str(error))


@app.command()
def ready(process: Annotated[str, typer.Argument(help="as `feed PROCESS` starts it")]) -> None:
    """Ask a process on this machine whether it can serve; exit 1 with its reason when it cannot."""
    from deploy.processes import NAMES, not_ready, spec_of
    from runtime.settings import SettingsError

    if process not in NAMES:
        _fail(f"PROCESS must be one of {', '.join(NAMES)}, not {process!r}", code=2)
    try:
        reason = not_ready(spec_of(process, os.environ))
    except SettingsError as error:
        _fail(f"wrong settings:\n{error}", code=2)
    if reason is not None:
        _fail(f"{process} is not ready: {reason}")


@import_app.command("kuairand", context_settings=FORWARD)
def import_kuairand(context: typer.Context) -> None:
    """Import a KuaiRand log: videos, users, interactions, trending."""
    from interactions.bulk.cli import import_kuairand as run

    _call(run, "feed import kuairand", context.args)


@app.command(context_settings=FORWARD)
def seed(context: typer.Context) -> None:
    """Make a simulated catalogue and log, for who has no data yet."""
    from interactions.bulk.cli import seed as run

    _call(run, "feed seed", context.args)


@app.command("corrections", context_settings=FORWARD)
def corrections(context: typer.Context) -> None:
    """Boost, reduce, block or reweight videos by hand; list such corrections and switch them off."""
    from deploy.corrections_cli import app as corrections_app

    corrections_app(args=context.args, prog_name="feed corrections")


@app.command("experiment", context_settings=FORWARD)
def experiment(context: typer.Context) -> None:
    """Make, start, stop and list experiments."""
    from deploy.experiments_cli import app as experiments_app

    experiments_app(args=context.args, prog_name="feed experiment")


@app.command("audit", context_settings=FORWARD)
def audit(context: typer.Context) -> None:
    """List who changed corrections and experiments, and when."""
    from deploy.audit_cli import audit_log

    _call(audit_log, "feed audit", context.args)


@app.command("keys", context_settings=FORWARD)
def keys(context: typer.Context) -> None:
    """Make, list and remove the API keys of services."""
    from deploy.keys_cli import app as keys_app

    keys_app(args=context.args, prog_name="feed keys")


@app.command("users", context_settings=FORWARD)
def users(context: typer.Context) -> None:
    """Show, erase, or stop to know a user."""
    from deploy.users_cli import app as users_app

    users_app(args=context.args, prog_name="feed users")


@app.command("replay-dlq", context_settings=FORWARD)
def replay_dlq(context: typer.Context) -> None:
    """Publish dead letters again, after what was wrong has been mended."""
    from interactions.sink.replay_cli import replay_dlq as run

    _call(run, "feed replay-dlq", context.args)


@topics_app.command("apply")
def topics_apply(
    *,
    check: Annotated[bool, typer.Option("--check", help="only tell the differences; exit 1 if there are any")] = False,
    replication_factor: Annotated[
        int | None, typer.Option(min=1, help="copies of each partition; default: the broker's")
    ] = None,
    min_insync_replicas: Annotated[
        int | None, typer.Option(min=1, help="copies that must hold a record; default: the broker's")
    ] = None,
    rights: Annotated[bool, typer.Option(help="bring the rights too; not where they are IAM policies")] = True,
) -> None:
    """Bring the topics, and the rights on them, to their declaration; safe to repeat."""
    from deploy.topics import declared
    from eventlog.adapters.kafka_credentials import credentials_of
    from eventlog.ports import EventLogError
    from eventlog.topics import Copies
    from eventlog.topics import apply as bring
    from eventlog.topics import check as tell

    settings = _settings()
    if not settings.kafka_bootstrap_servers:
        _fail("FEED_KAFKA_BOOTSTRAP_SERVERS is not set: the embedded journal needs no topics")
    try:
        declaration, copies = declared(), Copies(replication_factor, min_insync_replicas)
        grants = declaration.grants if rights else ()
        config = {**settings.kafka_config(), **credentials_of(settings).config()}
        if check:
            same = tell(config, specs=declaration.topics, grants=grants, copies=copies)
        else:
            bring(config, specs=declaration.topics, grants=grants, copies=copies)
            same = True
    except (EventLogError, OSError) as error:
        _fail(str(error))
    raise typer.Exit(0 if same else 1)


@db_app.command("upgrade")
def db_upgrade() -> None:
    """Bring the database to the newest schema; safe to repeat."""
    from storage.database import UnreachableDatabaseError, upgrade

    try:
        upgrade(_database_url())
    except UnreachableDatabaseError as error:
        _fail(str(error))


@db_app.command("downgrade")
def db_downgrade(
    revision: Annotated[str, typer.Argument(help="the last migration that the older release has, such as 0010")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Take the schema back to that of an older release; what that has no place for is lost."""
    from storage.database import UnknownRevisionError, UnreachableDatabaseError, downgrade

    if not yes:
        typer.confirm(f"Drop every table and column that came after {revision}, with what is in them?", abort=True)
    try:
        downgrade(_database_url(), revision)
    except UnknownRevisionError:
        _fail(f"there is no migration {revision} to go back to: give one of storage/migrations/versions", code=2)
    except UnreachableDatabaseError as error:
        _fail(str(error))


@db_app.command("prune")
def db_prune() -> None:
    """Delete what is older than FEED_RETENTION_* say, and go on erasing who is to be erased; safe to repeat."""
    from deploy.pruning import prune

    prune()


def _become(package: str, arguments: list[str]) -> None:
    """Goes on as `python -m PACKAGE ARGUMENTS`."""
    sys.argv = [package, *arguments]
    runpy.run_module(package, run_name="__main__", alter_sys=True)


def _call(command: Callable[..., None], name: str, arguments: list[str]) -> None:
    """Parses the arguments as the command declares them, and calls it."""
    forwarded = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    forwarded.command()(command)
    forwarded(args=arguments, prog_name=name)


def _settings() -> "CommonSettings":
    from runtime.settings import CommonSettings, SettingsError, load

    try:
        return load(CommonSettings, os.environ)
    except SettingsError as error:
        _fail(f"wrong settings:\n{error}", code=2)


def _database_url() -> str:
    return _settings().effective_database_url


def _choice(option: str, value: str, real: str) -> bool:
    if value not in ("embedded", real):
        _fail(f"{option} must be embedded or {real}, not {value!r}", code=2)
    return value == real


def _fail(text: str, code: int = 1) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(code)


def main() -> None:
    """Runs the command line."""
    app()


if __name__ == "__main__":
    main()
