"""What a bulk load did, as the table that its command prints."""

from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from interactions.bulk.csv_source import BadRows


@dataclass
class Tally:
    """Rows of one table: those written now, and those left alone because they were there."""

    written: int = 0
    known: int = 0


@dataclass
class Summary:
    """What a bulk load did.

    Attributes:
        title: Heading of the table.
        tables: Rows by table name.
        bad: What was left out.
        withheld: How many interactions are of who does not want to be known, or was erased after them: left out too.
        elapsed_s: How long it took.
        already_done: Nothing was to do: an earlier run had finished.
    """

    title: str
    tables: dict[str, Tally] = field(default_factory=dict)
    bad: BadRows = field(default_factory=BadRows)
    withheld: int = 0
    elapsed_s: float = 0.0
    already_done: bool = False

    def add(self, table: str, given: int, written: int) -> None:
        """Counts rows handed to a table, of which so many were new."""
        tally = self.tables.setdefault(table, Tally())
        tally.written += written
        tally.known += given - written


def print_summary(summary: Summary, console: Console) -> None:
    """Prints a summary as a table, and under it the first bad rows."""
    if summary.already_done:
        console.print(f"{summary.title}: imported before, nothing to do.")
        return
    table = Table("table", title=f"{summary.title} ({summary.elapsed_s:.1f} s)", title_justify="left")
    for heading in ("rows written", "there already"):
        table.add_column(heading, justify="right")
    for name, tally in summary.tables.items():
        table.add_row(name, f"{tally.written:,}", f"{tally.known:,}")
    console.print(table)
    if summary.withheld:
        console.print(f"left out of who does not want to be known, or was erased: {summary.withheld:,}")
    console.print(f"bad rows left out: {summary.bad.count:,}")
    for line in summary.bad.shown:
        console.print(f"  {line}", markup=False, highlight=False)
    if summary.bad.count > len(summary.bad.shown):
        console.print(f"  … and {summary.bad.count - len(summary.bad.shown):,} more")
