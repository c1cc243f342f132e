"""What a page is made of."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the navigation.

    Args:
        path: Where it leads to.
        title: Its text.
    """

    path: str
    title: str


@dataclass(frozen=True, slots=True)
class View:
    """What is shown.

    Args:
        template: File in `templates/`.
        values: What the template knows, by name.
        status: HTTP status; 422 of a form with errors.
        retry_after_s: After how many seconds it looks by itself whether it is another; None: never.
    """

    template: str
    values: Mapping[str, object] = field(default_factory=dict)
    status: int = 200
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class SeeOther:
    """What a POST ends in: the browser is sent to a page.

    Args:
        path: The page.
        done: What was done, a word of its own; empty: nothing to be told.
    """

    path: str
    done: str = ""


Handler: TypeAlias = Callable[[Request], Awaitable[View | SeeOther]]


@dataclass(frozen=True, slots=True)
class Door:
    """A path of a page.

    Args:
        path: In the form of Starlette's routes.
        handler: What answers.
        method: GET or POST.
    """

    path: str
    handler: Handler
    method: str = "GET"


class Page(Protocol):
    """One page, or a few that belong together."""

    @property
    def entry(self) -> Entry:
        """Its line in the navigation."""

    @property
    def doors(self) -> Sequence[Door]:
        """Its paths."""
