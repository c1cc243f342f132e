"""A scorer and a bridge that do what a script says, for tests and for client teams."""
