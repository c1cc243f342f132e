"""Ranking, pure: scores, filters, top-k, and the self-test of a model."""
