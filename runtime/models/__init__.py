"""Model bundles on disk, which trainers publish and scorers serve."""
