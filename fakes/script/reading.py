"""Reads a script from TOML: strict, with every error at once."""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

import grpc

from fakes.script import entries
from fakes.script.acts import NO_LATENCY, Act, ActT, Does, Fallback, Latency, PageAct, Refusal, Script, Step
from fakes.script.problems import Problems, ScriptError
from runtime.errors import Violation

DEFAULT_REASON: Final = "SCRIPTED"
DEFAULT_MESSAGE: Final = "as the script says"

_WAYS: Final = tuple(does.value for does in Does if does is not Does.RANK)
# With these no ranking is answered, so that no model shows.
_MODELLESS: Final = frozenset(_WAYS) - {"half", "ragged", "nan", "duplicates", "empty"}
_BRIDGE_FIELDS: Final = ("fallback", "pages")
# 0.7 + 0.2 + 0.1 is a little less or more than 1.
_ROUNDING: Final = 1e-9

_StepT = TypeVar("_StepT", entries.ActStep, entries.PageStep)
_Make = Callable[[Problems, Any, str], ActT]


def read(text: str, *, bridge: bool) -> Script:
    """Reads a script.

    Args:
        text: TOML.
        bridge: Whether it is for the fake bridge, which has pages and lists too.

    Raises:
        ScriptError: With everything that is wrong.
    """
    given = _parsed(text)
    problems = Problems()
    document = problems.read(entries.Document, given, "") or entries.Document()
    for name in _BRIDGE_FIELDS:
        if name in given and not bridge:
            problems.say(name, "is for feed fake-bridge alone")
    script = Script(
        acts=tuple(_steps(problems, "acts", given, (entries.ActStep, entries.MixedAct), _act)),
        pages=tuple(_steps(problems, "pages", given, (entries.PageStep, entries.MixedPage), _page)),
        seed=document.seed,
        videos=document.videos,
        model_version=document.model_version,
        fallback=Fallback(document.fallback),
    )
    problems.end()
    return script


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScriptError([Violation("script", f"is no TOML: {error}")]) from error
    except RecursionError:
        raise ScriptError([Violation("script", "is nested too deeply")]) from None


def _steps(
    problems: Problems,
    name: str,
    document: Mapping[str, Any],
    kinds: tuple[type[_StepT], type[entries.Mixed]],
    make: _Make[ActT],
) -> Iterator[Step[ActT]]:
    """Reads a list of steps; those that are wrong are noted and left out."""
    given = document.get(name, ())
    if not isinstance(given, list):  # left out, or noted already
        return
    for index, each in enumerate(given):
        path = f"{name}[{index}]"
        step = problems.read(kinds[0], each, path)
        if step is None:
            continue
        choices = _mix(problems, path, step, kinds[1], make) or ((step.share or 1.0, make(problems, step, path)),)
        repeat = step.repeat or (None if index == len(given) - 1 else 1)
        yield Step(choices, repeat, serving=getattr(step, "health", None) != "NOT_SERVING")


def _mix(
    problems: Problems, path: str, step: _StepT, kind: type[entries.Mixed], make: _Make[ActT]
) -> tuple[tuple[float, ActT], ...]:
    """Reads the choices of a mix; none when the step is no mix, or all of them are wrong."""
    if step.mix is None:
        return ()
    beside = step.model_fields_set - {"mix", "repeat", "health"}
    if beside:
        problems.say(path, f"mix stands alone or with repeat and health, not with {', '.join(sorted(beside))}")
    read = [(problems.read(kind, each, where), where) for each, where in _numbered(step.mix, f"{path}.mix")]
    choices = [(table.share, make(problems, table, where)) for table, where in read if table]
    if sum(share for share, _ in choices) > 1 + _ROUNDING:
        problems.say(f"{path}.mix", "the shares must not be more than 1 together")
    return tuple(choices)


def _numbered(given: list[Any], path: str) -> list[tuple[Any, str]]:
    return [(each, f"{path}[{index}]") for index, each in enumerate(given)]


def _act(problems: Problems, table: entries.ActFields, path: str) -> Act:
    ways = [name for name in _WAYS if getattr(table, name) is not None]
    if len(ways) > 1:
        problems.say(path, f"treats a call in one way only, not with {' and '.join(ways)}")
    if table.stale_model and not _MODELLESS.isdisjoint(ways):
        problems.say(f"{path}.stale_model", f"does not show with {ways[0]}")
    for name in ("pushback_ms", "reason", "message"):
        if getattr(table, name) is not None and table.status is None:
            problems.say(f"{path}.{name}", "needs a status beside it")
    return Act(
        does=Does(ways[0]) if ways else Does.RANK,
        latency=_latency(problems, table.latency_ms, path),
        refusal=_refusal(table.status, table, table.pushback_ms) if table.status else None,
        stale_model=bool(table.stale_model),
    )


def _page(problems: Problems, table: entries.PageFields, path: str) -> PageAct:
    if table.late and table.latency_ms is not None:
        problems.say(path, "takes the time of late or of latency_ms, not of both")
    refusal = None
    if table.answer is not None:
        answer = problems.read(entries.AnswerFields, table.answer, f"{path}.answer")
        refusal = _refusal(answer.status, answer, answer.retry_after_ms) if answer else None
    return PageAct(_latency(problems, table.latency_ms, path), refusal, late=bool(table.late))


def _refusal(status: str, wording: entries.Wording, retry_after_ms: int | None) -> Refusal:
    return Refusal(
        grpc.StatusCode[status],
        wording.reason or DEFAULT_REASON,
        wording.message or DEFAULT_MESSAGE,
        None if retry_after_ms is None else retry_after_ms / 1000,
    )


def _latency(problems: Problems, given: float | list[float] | None, path: str) -> Latency:
    if given is None:
        return NO_LATENCY
    least_ms, most_ms = given if isinstance(given, list) else (given, given)
    if least_ms > most_ms:
        problems.say(f"{path}.latency_ms", f"the smaller one first: [{most_ms:g}, {least_ms:g}]")
    return Latency(least_ms / 1000, most_ms / 1000)
