"""Colours of trials, the same in the report and in the MLflow UI."""

PALETTE = ("#0072B2", "#D55E00", "#117733", "#AA4499", "#332288", "#8A6D00", "#994455", "#444444")
"""Told apart by colour-blind readers, and dark enough for text on white."""
