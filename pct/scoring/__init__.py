"""Scores of many cases: tables, intervals, paired differences, claims; the verbs `score` and `claim`."""
