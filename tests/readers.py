"""How other programs read what we write."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813  SimpleITK's own abbreviation

from data_prep.volume import Volume


def by_sitk(folder: Path) -> Volume:
    """A series as SimpleITK reads it, in RAS mm."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return Volume(sitk.GetArrayFromImage(image).T, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)
