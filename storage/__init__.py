"""Tables, migrations and queries, on PostgreSQL or SQLite."""
