"""Pairs whose MR is put where it does not belong, by a known amount."""

import numpy as np
from scipy.spatial.transform import Rotation

from data_prep.volume import Volume, to_ras


def moved(mr, centre_mm, *, shift_mm, turn_deg=(0.0, 0.0, 0.0)):
    """The MR turned about `centre_mm` by a rotation vector, then shifted; no voxel is touched."""
    turn = Rotation.from_rotvec(turn_deg, degrees=True).as_matrix()
    move = np.eye(4)
    move[:3, :3] = turn
    move[:3, 3] = centre_mm - turn @ centre_mm + shift_mm
    return Volume(mr.array, move @ mr.affine)


def mirrored(mr, centre_mm, flip):
    """The MR mirrored along each axis where `flip` is -1, in planes through `centre_mm`."""
    mirror = np.diag([*flip, 1.0])
    mirror[:3, 3] = centre_mm - centre_mm * flip
    return to_ras(Volume(mr.array, mirror @ mr.affine))


def expected_shift(own, *, shift_mm, turn_deg=(0.0, 0.0, 0.0)):
    """Where the head's centre comes to lie, in mm, of a pair that lies `own` off by itself."""
    return Rotation.from_rotvec(turn_deg, degrees=True).apply(own.shift_mm) + shift_mm


def direction(rng):
    """A random unit vector."""
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)


def random_move(rng, *, shift_mm, turn_deg):
    """Arguments of `moved`: any direction, lengths drawn evenly from the two ranges."""
    return {
        "shift_mm": direction(rng) * rng.uniform(*shift_mm),
        "turn_deg": direction(rng) * rng.uniform(*turn_deg),
    }
