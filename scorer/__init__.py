"""The scoring server: ranks videos with the newest verified model bundle."""
