"""Searches: which point comes next, what it is worth, and the front."""
