"""What browsers load from the ingest."""
