"""Scores and claims on the command line."""
