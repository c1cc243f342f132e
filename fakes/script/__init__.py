"""The script: what a fake does, call by call. Pure."""
