"""Spans of requests: told, judged at their end, and sent on."""
