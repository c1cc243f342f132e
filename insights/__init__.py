"""What became of what was served: the ledger of outcomes, and the answers made of it."""
