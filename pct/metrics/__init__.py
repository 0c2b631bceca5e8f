"""Scores of one case: a pseudo-CT against the CT, each formula once."""
