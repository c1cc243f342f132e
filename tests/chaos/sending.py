"""The sender of interactions as a test holds it, and its attempts."""

import itertools
import math
import secrets
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from tests.chaos.events import Stream
from tests.chaos.sender import Attempt
from tests.system import ROOT

_DECODER = msgspec.json.Decoder(Attempt)


class Attempts:
    """The attempts of a run, in the order in which they ended."""

    def __init__(self, attempts: Iterable[Attempt]) -> None:
        self._attempts = tuple(attempts)

    def __len__(self) -> int:
        return len(self._attempts)

    def __iter__(self) -> Iterator[Attempt]:
        return iter(self._attempts)

    def between(self, start_s: float, end_s: float = math.inf) -> "Attempts":
        """Returns those that were made from one instant to another, in monotonic seconds."""
        return Attempts(each for each in self._attempts if start_s <= each.start_s < end_s)

    def since(self, start_s: float) -> "Attempts":
        """Returns those that were made from an instant on; cheap when that are few of many."""
        ended = list(itertools.takewhile(lambda each: each.end_s >= start_s, reversed(self._attempts)))
        return Attempts(each for each in reversed(ended) if each.start_s >= start_s)

    @property
    def acknowledged(self) -> "Attempts":
        """Those whose events were acknowledged."""
        return Attempts(each for each in self._attempts if each.durability not in {"", "DURABILITY_UNSPECIFIED"})

    @property
    def failed(self) -> int:
        """How many calls ended otherwise than OK, and were made again."""
        return sum(each.code != "OK" for each in self._attempts)

    @property
    def durabilities(self) -> Counter[str]:
        """In how many acknowledged calls the events were where."""
        return Counter(each.durability for each in self.acknowledged)

    def latency_ms(self, share: float) -> float:
        """Returns what this share of the acknowledgements was not later than; 0 when there were none."""
        ordered = sorted(each.latency_ms for each in self.acknowledged)
        return ordered[math.ceil(len(ordered) * share) - 1] if ordered else 0.0


class Sender:
    """The sender's process, from its making until `stop`.

    Args:
        target: `host:port` that takes interactions.
        folder: Where its attempts go.
        stream: What it sends.
        rate: Events a second.
        batch: Events a call.
        count: Events in all; 0: until it is stopped.
        drain_s: How long it goes on sending again what is not acknowledged once it is stopped.
    """

    def __init__(
        self, target: str, folder: Path, stream: Stream, rate: float, *, batch: int = 20, count: int = 0, drain_s: float
    ) -> None:
        self._path = folder / f"attempts-{stream.run}.jsonl"
        self._path.touch()
        self._read_bytes = 0
        self._attempts: list[Attempt] = []
        self._drain_s = drain_s
        self._log = folder / f"sender-{stream.run}.log"
        how = {"--rate": rate, "--batch": batch, "--count": count, "--drain-s": drain_s}
        told = [text for name, value in how.items() for text in (name, str(value))]
        command = [sys.executable, "-m", "tests.chaos.sender", "--target", target, "--out", str(self._path)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([*command, *told, *stream.arguments()], cwd=ROOT, stdout=log, stderr=log)

    def attempts(self) -> Attempts:
        """Returns the attempts so far; the line that is being written is left out."""
        with self._path.open("rb") as file:
            file.seek(self._read_bytes)
            whole, end, _ = file.read().rpartition(b"\n")
        self._read_bytes += len(whole) + len(end)
        self._attempts += map(_DECODER.decode, whole.splitlines())
        return Attempts(self._attempts)

    def is_done(self) -> bool:
        """Says whether all was sent and acknowledged."""
        return self._process.poll() is not None

    def stop(self) -> Attempts:
        """Lets it send again what is not acknowledged, and no more; returns its attempts."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(self._drain_s + 10)
        finally:
            self.kill()
        assert code == 0, self._log.read_text()[-4000:]
        return self.attempts()

    def kill(self) -> None:
        """Ends it, whatever becomes of its calls."""
        self._process.kill()
        self._process.wait()


def new_run() -> str:
    """Returns the name of a new run."""
    return secrets.token_hex(4)
