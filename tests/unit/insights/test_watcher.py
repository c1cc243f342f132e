"""Asking processes for their metrics: what is kept of whom."""

from insights.domain.scrapes import Sample, Samples
from insights.domain.wellness import Process
from insights.ports import ExpositionError
from insights.watcher import Watcher

BRIDGE, SINK = ("bridge", "http://b"), ("sink", "http://s")


class Processes:
    """Processes that count how often they were asked; those that are `away` do not answer."""

    def __init__(self) -> None:
        self.asked = 0.0
        self.away: set[str] = set()
        self.broken: set[str] = set()

    async def read(self, url: str) -> Samples:
        if url in self.away:
            raise ExpositionError("refused")
        if url in self.broken:
            raise RuntimeError(url)
        self.asked += 1
        return {"asked_total": [Sample({}, self.asked)]}


def spans(watcher: Watcher) -> dict[str, float | None]:
    """By how much each process has counted on over what is kept; None of one that is silent."""

    def span(process: Process) -> float | None:
        return process.window.increase("asked_total")[""] if process.window else None

    return {process.name: span(process) for process in watcher.processes() or ()}


async def test_before_the_first_look_nothing_is_known():
    watcher = Watcher(Processes(), [BRIDGE])
    assert watcher.processes() is None
    await watcher.look()
    assert spans(watcher) == {"bridge": 0}


async def test_what_is_kept_spans_a_minute_and_no_more():
    watcher = Watcher(Processes(), [BRIDGE])
    for _ in range(40):
        await watcher.look()
    assert spans(watcher) == {"bridge": 12}  # of 5 seconds each


async def test_who_does_not_answer_is_silent_and_begins_anew_and_the_others_go_on():
    processes = Processes()
    watcher = Watcher(processes, [BRIDGE, SINK])
    await watcher.look()
    processes.away = {"http://s"}
    await watcher.look()
    assert spans(watcher) == {"bridge": 2, "sink": None}
    processes.away = set()
    await watcher.look()
    assert spans(watcher) == {"bridge": 3, "sink": 0}


async def test_one_that_tells_nonsense_is_silent_too():
    processes = Processes()
    watcher = Watcher(processes, [BRIDGE, SINK])
    processes.broken = {"http://b"}
    await watcher.look()
    assert spans(watcher) == {"bridge": None, "sink": 0}
