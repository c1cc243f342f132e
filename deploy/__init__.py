"""How the system is started: the `feed` command, the process list, local Kafka and PostgreSQL."""
