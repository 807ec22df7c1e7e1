"""Pure functions of features."""
