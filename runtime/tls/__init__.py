"""Certificates of servers and clients, followed as they change."""
