"""The log on real technology: Apache Kafka, or one SQLite file."""
