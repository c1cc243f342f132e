"""Opening ahead: what comes next is opened while the one before it is in use."""

from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from typing import TypeVar

T = TypeVar("T")


def opened_ahead(contexts: Iterable[AbstractContextManager[T]]) -> Generator[T, None, None]:
    """Yields what contexts give, in order; each is entered in a thread while the one before it is in use.

    Two are open at a time at most. To be closed by whoever does not go through to the end.
    """
    with ThreadPoolExecutor(1, "ahead") as thread:
        opening = (thread.submit(_open, context) for context in contexts)
        ahead = next(opening, None)
        try:
            while ahead is not None:
                current, ahead = ahead, next(opening, None)
                closing, given = current.result()
                with closing:
                    yield given
        finally:
            if ahead is not None and ahead.exception() is None:
                ahead.result()[0].close()


def _open(context: AbstractContextManager[T]) -> tuple[ExitStack, T]:
    closing = ExitStack()
    return closing, closing.enter_context(context)
