"""The report's third dimension: viewer, renders, contact plates and the background's profile."""
