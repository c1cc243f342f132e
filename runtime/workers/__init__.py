"""Several processes of a kind on the same ports."""
