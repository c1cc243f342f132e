"""Reads a whole topic of Apache Kafka once, from the oldest record to what was its end at the start; in no group."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from eventlog.adapters.consumer_kafka import READER_CONFIG, stored
from eventlog.ports import ConsumeError, StoredRecord

_ANSWER_TIMEOUT_S: Final = 10.0
# Longest wait for the next records of a topic that is known to have more.
_SILENCE_S: Final = 30.0
_BATCH: Final = 500
_CONFIG: Final[Mapping[str, Any]] = {
    **READER_CONFIG,
    "enable.partition.eof": True,
    "log_level": "2",
}


def read_topic(config: Mapping[str, Any], topic: str, group: str) -> Iterator[StoredRecord]:
    """Yields the records of a topic, those of a partition in order.

    Args:
        config: Connection part of a librdkafka configuration.
        topic: Name of the topic.
        group: Under which the broker lets us read; nothing is kept under it.

    Raises:
        ConsumeError: When the broker does not answer, or has no such topic for us.
    """
    client = Consumer({**_CONFIG, **config, "group.id": group})
    try:
        yield from _read(client, topic)
    except KafkaException as error:
        raise ConsumeError(f"{topic} cannot be read: {error.args[0].str()}") from error
    finally:
        client.close()


def _read(client: Consumer, topic: str) -> Iterator[StoredRecord]:
    left = _bounds(client, topic)
    client.assign([TopicPartition(topic, number, low) for number, (low, _) in left.items()])
    while left:
        first = client.poll(_SILENCE_S)
        if first is None:
            raise ConsumeError(f"{topic} cannot be read: nothing came for {_SILENCE_S:g} s")
        for message in (first, *client.consume(_BATCH, 0)):
            if _is_end(message):
                left.pop(message.partition() or 0, None)
                continue
            record = stored(message)
            _, end = left.get(record.partition, (0, 0))
            if record.offset < end:
                yield record
            if record.offset >= end - 1:
                left.pop(record.partition, None)


def _is_end(message: Any) -> bool:
    """Says whether a partition has no more records: what lies between the last one and the end may be none."""
    error = message.error()
    if error is None:
        return False
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # public in librdkafka
        return True
    raise ConsumeError(f"{message.topic()} cannot be read: {error.str()}")


def _bounds(client: Consumer, topic: str) -> dict[int, tuple[int, int]]:
    """Returns the oldest offset and the end of each partition that holds anything."""
    found = client.list_topics(topic, timeout=_ANSWER_TIMEOUT_S).topics[topic]
    if found.error:
        raise ConsumeError(f"{topic} cannot be read: {found.error.str()}")
    places = {number: TopicPartition(topic, number) for number in found.partitions}
    ends = {number: client.get_watermark_offsets(place, _ANSWER_TIMEOUT_S) for number, place in places.items()}
    return {number: (low, high) for number, (low, high) in ends.items() if low < high}
