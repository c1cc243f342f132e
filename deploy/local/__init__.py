"""Real servers for development and tests (Apache Kafka, PostgreSQL), started with nothing installed but Python."""
