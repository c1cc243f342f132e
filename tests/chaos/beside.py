"""Something that goes on in a thread beside the test, from `with` to its end."""

import threading
from abc import ABC, abstractmethod
from typing import Self


class Beside(ABC):
    """A thread's life; what it does is `run`, until `ended` is set."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self.run, name=type(self).__name__)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._thread.join()

    @abstractmethod
    def run(self) -> None:
        """Goes on until it is to end."""
