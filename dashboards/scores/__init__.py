"""Scores as tables and plots: cohorts, differences, groups, outliers."""
