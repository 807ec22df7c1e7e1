"""Through which encoder a step looks."""
