"""What an expression in PromQL asks for. Whether it is one, promtool says; here its words are told apart."""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\[[^\]]*\]|\d[\w.]*|[A-Za-z_:][\w:]*|\S')
_NAME: Final = re.compile(r"[A-Za-z_:][\w:]*")
# After these come labels in parentheses.
_GROUPINGS: Final = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
# Names that are neither called, nor series.
_WORDS: Final = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan"})
# These are called, but `by (…)` may stand before their parentheses.
_AGGREGATIONS: Final = frozenset({"sum", "min", "max", "avg", "count", "topk", "group"})


class Asked(NamedTuple):
    """What one expression asks for.

    Args:
        series: Names of series, each with the labels that choose among them.
        groupings: Labels by which they are grouped or joined.
    """

    series: tuple[tuple[str, frozenset[str]], ...]
    groupings: frozenset[str]


def asked(expression: str) -> Asked:
    """Returns the series and labels that an expression names."""
    tokens = _TOKEN.findall(expression)
    series: list[tuple[str, frozenset[str]]] = []
    groupings: set[str] = set()
    at = 0
    while at < len(tokens):
        token, following = tokens[at], tokens[at + 1 : at + 2]
        at += 1
        if not _NAME.fullmatch(token) or token.lower() in _WORDS:
            continue
        if token in _GROUPINGS:
            labels = list(_until(")", tokens, at + 1))
            groupings.update(_NAME.findall(" ".join(labels)))
            at += len(labels) + 2
        elif following == ["{"]:
            matchers = list(_until("}", tokens, at + 1))
            series.append((token, frozenset(each for each in matchers if _NAME.fullmatch(each))))
            at += len(matchers) + 2
        elif following != ["("] and token not in _AGGREGATIONS:
            series.append((token, frozenset()))
    return Asked(tuple(series), frozenset(groupings))


def unknown(expression: str, known: Mapping[str, frozenset[str]]) -> list[str]:
    """Returns what an expression asks for and nobody exposes.

    Args:
        expression: In PromQL.
        known: The series that there are, each with its labels.
    """
    found = asked(expression)
    groupable = frozenset().union(*(known.get(name, frozenset()) for name, _ in found.series))
    return [
        *(f"no series is called {name}" for name, _ in found.series if name not in known),
        *(
            f"{name} has no label {label}"
            for name, labels in found.series
            for label in sorted(labels - known.get(name, labels))
        ),
        *(f"none of its series has the label {label}" for label in sorted(found.groupings - groupable)),
    ]


def _until(end: str, tokens: list[str], start: int) -> Iterator[str]:
    for token in tokens[start:]:
        if token == end:
            return
        yield token
