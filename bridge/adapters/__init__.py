"""What touches the outside: scorers, files, the database, pybreaker, gRPC and HTTP callers."""
