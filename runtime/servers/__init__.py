"""The gRPC and the HTTP side of a process."""
