"""Decisions of the gateway as pure code: they are handed the time and the jitter as numbers."""
