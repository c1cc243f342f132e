"""Keys and other secrets in files."""
