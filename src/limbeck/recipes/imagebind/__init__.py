"""ImageBindDC: one file a table or figure."""
