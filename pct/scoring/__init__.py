"""Scores of many cases: tables, intervals, paired differences, and claims between settings."""
