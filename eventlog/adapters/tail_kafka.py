"""Watches a topic of Apache Kafka."""

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from eventlog.adapters.consumer_kafka import READER_CONFIG, stored
from eventlog.adapters.kafka_credentials import Credentials, FixedCredentials
from eventlog.ports import ConsumeError, StoredRecord

_TIMEOUT_S: Final = 10.0
# Longest stay in librdkafka, which no Ctrl-C ends.
_SLICE_S: Final = 0.2
_AGAIN_S: Final = 0.1

_CONFIG: Final[Mapping[str, Any]] = {
    **READER_CONFIG,
    # librdkafka wants a name, but with partitions assigned by hand and no commits nobody joins a group.
    "group.id": "feed-tail",
    "reconnect.backoff.max.ms": 1_000,
}
# The others heal by themselves, or are about the group that is not used.
_GRAVE: Final = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED)


class KafkaTail:
    """Shows all partitions of one topic; the rights to describe and read the topic are enough.

    Args:
        config: Connection part of a librdkafka configuration.
        topic: Name of the topic.
        credentials: What it identifies itself with.
    """

    def __init__(self, config: Mapping[str, str], topic: str, *, credentials: Credentials | None = None) -> None:
        self._config = {**_CONFIG, **config}
        self._topic = topic
        self._credentials = credentials or FixedCredentials()
        self._consumer: Consumer | None = None

    def start(self, *, from_oldest: bool) -> None:
        """Begins in all partitions, at the oldest record or at the end that they have now."""
        try:
            config = {**self._config, **self._credentials.config()}
            self._consumer = Consumer(config, logger=logging.getLogger("eventlog.librdkafka"))
            self._consumer.assign(
                [
                    TopicPartition(self._topic, number, OFFSET_BEGINNING if from_oldest else self._end(number))
                    for number in self._partitions()
                ]
            )
        except KafkaException as error:
            raise ConsumeError(f"Kafka answers {error.args[0].str()}") from error

    def poll(self, max_records: int, timeout_s: float) -> list[StoredRecord]:
        """Returns the next records."""
        client = self._client
        self._credentials.renew(client)
        first = client.poll(min(timeout_s, _SLICE_S))
        if first is None:
            return []
        messages = [first, *client.consume(max_records - 1, 0)]
        for message in messages:
            error = message.error()
            if error is not None and error.code() in _GRAVE:
                raise ConsumeError(f"Kafka answers {error.str()}")
        return [stored(message) for message in messages if message.error() is None]

    def close(self) -> None:
        """Closes the connection."""
        if self._consumer is not None:
            self._consumer.close()

    @property
    def _client(self) -> Consumer:
        if self._consumer is None:
            raise ConsumeError("not started")
        return self._consumer

    def _partitions(self) -> list[int]:
        found = self._client.list_topics(self._topic, timeout=_TIMEOUT_S).topics[self._topic]
        if found.error is not None:
            raise ConsumeError(f"Kafka lacks the topic {self._topic}, or this user may not see it")
        return sorted(found.partitions)

    def _end(self, partition: int) -> int:
        deadline = time.monotonic() + _TIMEOUT_S
        while True:  # a partition that was just made, or whose leader changes, has no end yet
            try:
                found = self._client.get_watermark_offsets(TopicPartition(self._topic, partition), timeout=_TIMEOUT_S)
            except KafkaException:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_AGAIN_S)
            else:
                return found[1]
