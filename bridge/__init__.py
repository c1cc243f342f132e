"""The gateway: answers every feed request with a valid page within 150 ms."""
