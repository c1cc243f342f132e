"""Bare librdkafka produce of interaction-sized JSON: the reference of P07. `produce.py BOOTSTRAP TOPIC EVENTS`."""

import json
import sys
import time
from typing import Any

from confluent_kafka import Producer


def produce(bootstrap: str, topic: str, events: int) -> float:
    """Returns the events a second that the broker confirmed."""
    values = [
        json.dumps(
            {
                "userId": f"u{index % 1000}",
                "videoId": f"v{index % 777}",
                "interactionType": "VIEW",
                "watchTime": 12.5,
                "timestamp": "2026-11-20T12:00:00.000Z",
                "eventId": f"{index:032x}",
            }
        ).encode()
        for index in range(events)
    ]
    errors: list[Any] = []
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 2,
            "partitioner": "murmur2_random",
        }
    )

    def delivered(error: Any, _message: Any) -> None:
        if error:
            errors.append(error)

    start = time.perf_counter()
    for index, value in enumerate(values):
        while True:
            try:
                producer.produce(topic, value, key=f"u{index % 1000}", on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.01)
        if index % 100 == 0:
            producer.poll(0)
    producer.flush(60)
    assert not errors, errors[0]
    return events / (time.perf_counter() - start)


if __name__ == "__main__":
    print(produce(sys.argv[1], sys.argv[2], int(sys.argv[3])))
