"""Whether a Kafka client can do its work now: the broker answers, takes the credentials and has the topics."""

import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException

# A broker that hangs answers nothing and reports nothing, so it is asked even when all seems well.
_PAUSE_WELL_S: Final = 5.0
_PAUSE_ILL_S: Final = 1.0
_TIMEOUT_S: Final = 2.0

# Errors of librdkafka that mean nothing gets through; the others heal by themselves.
_GRAVE: Final = {
    KafkaError._AUTHENTICATION: "Kafka refuses the credentials",  # noqa: SLF001
    KafkaError._ALL_BROKERS_DOWN: "no Kafka broker answers",  # noqa: SLF001
    KafkaError._SSL: "TLS to Kafka fails",  # noqa: SLF001
    KafkaError._FATAL: "the Kafka client is being rebuilt",  # noqa: SLF001
}
# librdkafka says this also after it was refused; the reason before it is then the better one.
_ALL_DOWN: Final = _GRAVE[KafkaError._ALL_BROKERS_DOWN]  # noqa: SLF001
_REFUSED: Final = _GRAVE[KafkaError._AUTHENTICATION]  # noqa: SLF001
_NO_ANSWER: Final = (None, "Kafka has not answered yet", "Kafka does not answer")


class Probe:
    """Remembers what is wrong; errors set it, only an answer from the broker clears it.

    Args:
        topics: The topics that must be there.
    """

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = tuple(topics)
        self._lock = threading.Lock()
        self._errors_seen = 0
        self._due_s = 0.0
        self.problem: str | None = _NO_ANSWER[1]

    @property
    def pause_s(self) -> float:
        """How long to wait before the next `run`, in seconds."""
        return _PAUSE_ILL_S if self.problem else _PAUSE_WELL_S

    @property
    def look_s(self) -> float:
        """How often to call `run_when_due`, in seconds."""
        return _PAUSE_ILL_S

    @property
    def is_refused(self) -> bool:
        """Whether the broker refuses the credentials, so that waiting for it does not help."""
        return self.problem == _REFUSED

    def run_when_due(self, client: Any) -> None:
        """Runs when the last time is long enough ago: sooner while something is wrong."""
        if time.monotonic() >= self._due_s or self.problem:
            self.run(client)
            self._due_s = time.monotonic() + _PAUSE_WELL_S

    def suspect(self, error: KafkaError) -> bool:
        """Takes note of an error; returns True when it is news."""
        reason = _GRAVE.get(error.code())
        if reason is None:
            return False
        with self._lock:
            self._errors_seen += 1
            news = self.problem != reason if reason != _ALL_DOWN else self.problem in _NO_ANSWER
            if news:
                self.problem = reason
        return news

    def run(self, client: Any) -> None:
        """Asks the broker for its topics; blocks for 2 s at most.

        Args:
            client: A Producer or Consumer.
        """
        errors_before = self._errors_seen
        try:
            found = client.list_topics(timeout=_TIMEOUT_S).topics
        except KafkaException:
            with self._lock:
                self.problem = self.problem or _NO_ANSWER[2]
            return
        missing = [name for name in self._topics if name not in found or found[name].error]
        with self._lock:
            if missing:
                self.problem = f"Kafka lacks the topic {', '.join(missing)}, or this user may not see it"
            elif self._errors_seen == errors_before:
                self.problem = None
