"""What every process needs to be a good service: settings, logs, metrics, health, drain."""

import os

# gRPC reads it when it is first imported. Without it, each refused TLS handshake writes a line of its own into the log,
# which is no JSON, as often as a stranger likes.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
