"""The stage store: what it keeps, for whom, and who is at work on it."""
