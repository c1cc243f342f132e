"""What the journal decides without touching a disk."""
