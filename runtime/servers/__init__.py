"""The gRPC and the HTTP side of a process, and what both say of a request."""
