"""How runs go, and who is told of it."""
