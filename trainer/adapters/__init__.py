"""The trainer's ways to the outside, one library each."""
