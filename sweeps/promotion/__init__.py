"""Promotion: a gate, a model folder that needs nothing else, and the registry with its way back."""
