"""Curves over epochs: of all runs, and of what a fork does."""
