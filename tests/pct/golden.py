"""A head of ellipsoids with a wave in it, without random numbers: its scores are known."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Floats = NDArray[np.float64]


def golden_phantom() -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Prediction and CT in HU, and the head's mask: (48, 128, 128), float64."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (48, 128, 128)), indexing="ij")
    r = np.sqrt((x / 0.62) ** 2 + (y / 0.75) ** 2 + (z / 1.3) ** 2)
    hu = np.where(r < 1, 40.0, -1000.0)
    hu[(r > 0.86) & (r < 0.93)] = 1200
    hu[r <= 0.86] = 35
    hu[(x / 0.2) ** 2 + ((y - 0.1) / 0.15) ** 2 + (z / 0.5) ** 2 < 1] = 5
    hu += 12 * np.sin(37 * x + 11 * y) * np.cos(23 * y - 5 * z)
    predicted = gaussian_filter(hu, (0.6, 1.2, 1.2)) + 8 * np.sin(29 * hu / 500)
    return predicted, hu, r < 1.03
