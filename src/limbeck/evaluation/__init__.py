"""How a synthetic set is scored."""
