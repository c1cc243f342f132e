"""The ingest's client for Python services: `from interactions.client import Tracker`.

Imports the standard library only; grpc and the contract's messages once a gRPC address is used.
"""

from interactions.client.event import Rejection
from interactions.client.http_transport import HttpTransport
from interactions.client.settings import TrackerSettings
from interactions.client.stats import Stats
from interactions.client.tls import TlsFiles
from interactions.client.tracker import Tracker
from interactions.client.transport import Transport

__all__ = ["HttpTransport", "Rejection", "Stats", "TlsFiles", "Tracker", "TrackerSettings", "Transport"]
