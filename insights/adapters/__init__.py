"""The database behind the insights, and the doors in front."""
