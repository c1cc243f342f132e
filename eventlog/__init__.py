"""The durable log: Apache Kafka, or a local journal where there is no broker."""
