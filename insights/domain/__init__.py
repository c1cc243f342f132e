"""What makes an outcome, and what a claim is worth; pure."""
