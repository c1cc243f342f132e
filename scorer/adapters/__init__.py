"""The scorer's ways to the outside."""
