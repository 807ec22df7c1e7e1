"""The one loop that steps the synthetic set, and what it stands on."""
