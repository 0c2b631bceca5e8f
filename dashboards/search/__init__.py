"""What a search found: its front, importances, slices."""
