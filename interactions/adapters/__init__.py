"""How interactions come in: gRPC and REST."""
