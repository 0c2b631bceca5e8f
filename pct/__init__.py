"""The method: networks, losses, exact training state, metrics and prediction of a pseudo-CT."""
