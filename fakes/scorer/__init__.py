"""`feed fake-scorer`: the scoring service by a script."""
