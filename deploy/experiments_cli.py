"""`feed experiment`: what is tried on a share of the users."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final

import msgspec
import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from deploy.database_command import by_operator, fail, in_transaction
from insights.adapters.experiments_database import report_of
from insights.domain.experiment_report import ExperimentReport
from insights.report_text import report_lines
from runtime.experiments import Parameter, RankedBy, Variant, given
from storage import experiments
from storage.audit import Door
from storage.experiment_rules import Definition
from storage.experiments import Status, StoredExperiment

app = typer.Typer(
    help="What is tried on a share of the users. Bridges follow within 5 s.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

# How each field is given here.
_OPTIONS: Final = {
    "name": "NAME",
    "layer": "--layer",
    "traffic": "--traffic",
    "variants": "--variant",
    "weight": "--variant",
    "hypothesis": "--hypothesis",
    "admin_id": "--by",
    "parameters": "--set",
    **{name.value: f"--set {name}" for name in Parameter},
}
_run = partial(in_transaction, options=_OPTIONS)

Name = Annotated[str, typer.Argument(help="as `list` prints it")]
By = Annotated[str, typer.Option(help="who does it; default: the system's user")]


@app.command()
def create(  # noqa: PLR0913  # one option a field
    name: Annotated[str, typer.Argument(help="its name; nobody else has it, ever")],
    *,
    variant: Annotated[list[str], typer.Option(help="NAME or NAME=WEIGHT; the first is the control")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="VARIANT.PARAMETER=VALUE, such as calm.diversity=0.4")
    ] = None,
    ranked_by: Annotated[
        list[str] | None, typer.Option(help="VARIANT=model, VARIANT=candidate or VARIANT=trending")
    ] = None,
    traffic: Annotated[float, typer.Option(help="share of the users who take part")] = 1.0,
    layer: Annotated[str, typer.Option(help="experiments of one layer never share a user")] = "feed",
    hypothesis: Annotated[str, typer.Option(help="what is expected, and why")] = "",
    by: By = "",
) -> None:
    """Make an experiment; it waits as a draft until it is started."""
    variants = _variants(variant, set_ or (), ranked_by or ())
    definition = Definition(name, layer, traffic, variants, hypothesis, by_operator(by).name)
    made = _run(lambda connection: experiments.create(connection, definition, datetime.now(UTC), Door.CLI))
    typer.echo(_line(made))


@app.command()
def start(name: Name, *, by: By = "") -> None:
    """Give a draft its users and start it; it can be stopped, but not started again."""
    admin = by_operator(by)
    typer.echo(_line(_run(lambda connection: experiments.start(connection, name, datetime.now(UTC), admin))))


@app.command()
def stop(name: Name, *, by: By = "") -> None:
    """Stop an experiment for good; safe to repeat."""
    admin = by_operator(by)
    typer.echo(_line(_run(lambda connection: experiments.stop(connection, name, datetime.now(UTC), admin))))


@app.command("list")
def list_(
    *,
    everything: Annotated[bool, typer.Option("--all", help="also those that are stopped")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="most of them")] = 100,
) -> None:
    """List experiments, newest first."""
    for each in _run(lambda connection: experiments.list_newest(connection, limit)):
        if everything or each.status is not Status.STOPPED:
            typer.echo(_line(each))


@app.command()
def report(name: Name) -> None:
    """Show what each variant does otherwise than the control; look at it as often as you like."""

    async def read(connection: AsyncConnection) -> ExperimentReport:
        return await report_of(connection, (await experiments.known(connection, name)).definition)

    for line in report_lines(_run(read)):
        typer.echo(line)


@app.command()
def of(user: Annotated[str, typer.Argument(help="a user's id")]) -> None:
    """Show which variants a user is given now."""
    found = _run(experiments.not_over)
    running = [each.experiment for each in found if each.status is Status.RUNNING]
    for each in given(running, user):
        typer.echo(f"{each.experiment}={each.variant.name}")


def _variants(names: Sequence[str], settings: Sequence[str], ranked_by: Sequence[str]) -> list[Variant]:
    found: dict[str, dict[str, Any]] = {}
    for text in names:
        name, _, weight = text.partition("=")
        if name in found:
            fail(f"--variant {name}: give each name once", code=2)
        found[name] = {"name": name, "weight": _number("--variant", text, weight or "1"), "parameters": {}}
    for text in settings:
        place, parted, value = text.partition("=")
        name, dot, parameter = place.rpartition(".")
        if not (parted and dot) or name not in found:
            fail(f"--set {text}: must be VARIANT.PARAMETER=VALUE of a --variant", code=2)
        if parameter not in set(Parameter):
            fail(f"--set {text}: the parameter must be one of {', '.join(Parameter)}", code=2)
        found[name]["parameters"][parameter] = _number("--set", text, value)
    for text in ranked_by:
        name, _, value = text.partition("=")
        if name not in found or value not in set(RankedBy):
            fail(f"--ranked-by {text}: must be a --variant, = and one of {', '.join(RankedBy)}", code=2)
        found[name]["ranked_by"] = value
    return [msgspec.convert(each, Variant) for each in found.values()]


def _number(option: str, text: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        fail(f"{option} {text}: must end with a number", code=2)


def _line(each: StoredExperiment) -> str:
    definition = each.definition
    parts = (
        definition.name,
        each.status.value,
        f"{definition.traffic:.2%} of layer {definition.layer}",
        "; ".join(map(_described, definition.variants)),
        f'"{definition.hypothesis}"' if definition.hypothesis else "",
        f"by {definition.admin_id}",
        f"made {each.created_at:%Y-%m-%d %H:%M:%S}",
        f"started {each.started_at:%Y-%m-%d %H:%M:%S}" if each.started_at else "",
        f"stopped {each.ended_at:%Y-%m-%d %H:%M:%S}" if each.ended_at else "",
        f"because {each.stop_reason}" if each.stop_reason else "",
    )
    return "  ".join(part for part in parts if part)


def _described(variant: Variant) -> str:
    said = [f"{name}={value:g}" for name, value in variant.parameters.items()]
    if variant.ranked_by is not RankedBy.MODEL:
        said.append(variant.ranked_by.value)
    return f"{variant.name} {variant.weight:g}" + (f" ({', '.join(said)})" if said else "")
