"""Dashboards and alerts, made of the metrics that the processes define."""
