"""Ingest: makes interactions durable, and the sink that brings them into the database."""
