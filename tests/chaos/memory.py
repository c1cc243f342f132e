"""How much memory and processor time a process takes."""

import os
from pathlib import Path

from tests.chaos.beside import Beside

_EVERY_S = 0.05


def rss_mb(pid: int) -> float:
    """Resident memory of a process, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("VmRSS:"))) * 1024 / 1e6


def cpu_s(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class MemoryWatch(Beside):
    """Watches from `with` to its end; `more_mb` is how much it was at most above the start."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self._pid = pid
        self.start_mb = self.most_mb = rss_mb(pid)

    @property
    def more_mb(self) -> float:
        return self.most_mb - self.start_mb

    def run(self) -> None:
        """Looks."""
        while not self.ended.wait(_EVERY_S):
            self.most_mb = max(self.most_mb, rss_mb(self._pid))
