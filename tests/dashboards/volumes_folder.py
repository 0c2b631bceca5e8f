"""DIR/volumes for the made-up sweep: an egg with a skull, and pseudo-CTs with fog and without."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.volume import Volume, save_nifti

SHAPE = (52, 64, 56)
SPACING_MM = 4.0
AFFINE = np.array([[4.0, 0, 0, -102], [0, 4.0, 0, -126], [0, 0, 4.0, -110], [0, 0, 0, 1]])
FOG_HU = {"never": -700.0, "exp.keep": -1000.0, "exp.drop": -1000.0}
"""By run, in what lies 20 mm and more off the head: only one paints fog."""


def distance_mm(radii_mm: tuple[float, float, float]) -> NDArray[Any]:
    """About the distance from an ellipsoid in the middle, negative inside."""
    axes = [(np.arange(n) - (n - 1) / 2) * SPACING_MM for n in SHAPE]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    share = np.sqrt(sum((at / radius) ** 2 for at, radius in zip((x, y, z), radii_mm, strict=True)))
    return (share - 1.0) * min(radii_mm)


def head_hu() -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """CT in HU, head mask, skull mask: (i, j, k)."""
    skin = distance_mm((68.0, 86.0, 80.0))
    skull = (skin < -6.0) & (skin > -16.0)
    ct = np.where(skin < 0, 40.0, -1000.0)
    return np.where(skull, 1100.0, ct), skin < 0, skull


def pseudo_ct(fog_hu: float) -> NDArray[Any]:
    """The CT, a little too soft in bone, with fog beyond a void of 20 mm."""
    ct, head, skull = head_hu()
    skin = distance_mm((68.0, 86.0, 80.0))
    return np.where(head, np.where(skull, 900.0, ct), np.where(skin > 20.0, fog_hu, -1000.0))


def write_volume(path: Path, array: NDArray[Any], kind: type[np.generic]) -> None:
    save_nifti(Volume(array.astype(kind), AFFINE), path)


def write_volumes(folder: Path, fog_hu: Mapping[str, float] = FOG_HU, case: str = "p01") -> None:
    """Write the volumes of one case for the runs in `fog_hu` into a sweep's folder."""
    ct, head, skull = head_hu()
    volumes = folder / "volumes"
    write_volume(volumes / f"{case}_ct.nii.gz", ct, np.int16)
    write_volume(volumes / f"{case}_mr.nii.gz", np.where(head, 500 - skull * 1400, -1000), np.int16)
    write_volume(volumes / f"{case}_head.nii.gz", head, np.uint8)
    write_volume(volumes / f"{case}_skull.nii.gz", skull, np.uint8)
    for trial, fog in fog_hu.items():
        write_volume(volumes / trial / f"{case}.nii.gz", pseudo_ct(fog), np.int16)
