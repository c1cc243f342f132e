"""Where the sink writes."""
