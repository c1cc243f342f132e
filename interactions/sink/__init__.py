"""The sink: brings what the log holds into the database, each event once."""
