"""What an analytic head is made of: tissues with their CT and MR values, and its structures."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

Point = tuple[float, float, float]


class Tissue(IntEnum):
    """Labels of a head; `AIR` is outside it, `CAVITY` is air inside."""

    AIR = 0
    CAVITY = 1
    SKIN = 2
    FAT = 3
    MUSCLE = 4
    CORTICAL = 5
    MARROW = 6
    CSF = 7
    GREY = 8
    WHITE = 9
    DURA = 10
    EYE = 11
    LENS = 12
    NUCLEUS = 13
    OEDEMA = 14
    TUMOUR = 15
    TOOTH = 16


BONE = (Tissue.CORTICAL, Tissue.MARROW, Tissue.TOOTH)

_VALUES: dict[Tissue, tuple[float, float]] = {
    Tissue.AIR: (-1000, 0.0),
    Tissue.CAVITY: (-985, 0.01),
    Tissue.SKIN: (35, 0.50),
    Tissue.FAT: (-95, 1.00),
    Tissue.MUSCLE: (55, 0.38),
    Tissue.CORTICAL: (1350, 0.04),
    Tissue.MARROW: (560, 0.34),
    Tissue.CSF: (8, 0.13),
    Tissue.GREY: (38, 0.52),
    Tissue.WHITE: (29, 0.70),
    Tissue.DURA: (62, 0.44),
    Tissue.EYE: (10, 0.17),
    Tissue.LENS: (75, 0.45),
    Tissue.NUCLEUS: (41, 0.58),
    Tissue.OEDEMA: (20, 0.42),
    Tissue.TUMOUR: (48, 0.95),
    Tissue.TOOTH: (2100, 0.02),
}

CT_HU = np.array([_VALUES[tissue][0] for tissue in Tissue], np.float32)
"""HU by label."""

MR_SIGNAL = np.array([_VALUES[tissue][1] for tissue in Tissue], np.float32)
"""T1 gradient-echo signal by label, fat = 1. Bone and air are both dark: that is the task."""


@dataclass(frozen=True)
class Part:
    """An ellipsoid of one tissue in canonical mm; with `cells`, a honeycomb of it."""

    tissue: Tissue
    centre: Point
    radii: Point
    cells: bool = False


@dataclass(frozen=True)
class Structure:
    """Parts that move and grow together; `paired` ones are mirrored to the left (x < 0).

    `shift_mm` and `spread` are standard deviations: of the place, and of the size (relative) by
    which left and right differ, or by which an unpaired structure leaves the midline.
    """

    parts: tuple[Part, ...]
    paired: bool = False
    shift_mm: float = 1.0
    spread: float = 0.05


_T = Tissue

OUTLINE = (
    Structure((Part(_T.SKIN, (0, 38, -58), (63, 64, 82)),), shift_mm=0.5),
    Structure((Part(_T.SKIN, (0, -8, -30), (70, 80, 66)),), shift_mm=0.5),
    Structure((Part(_T.SKIN, (0, -22, -115), (60, 68, 90)),), shift_mm=0.5),
    Structure((Part(_T.SKIN, (0, 92, -52), (15, 17, 26)),), shift_mm=2.0),
)
"""Below the cranium: temples, face, neck, nose. Painted in shells of skin, fat and muscle."""

EARS = Structure((Part(_T.SKIN, (68, -16, -30), (9, 14, 27)),), paired=True, shift_mm=1.5)

STRUCTURES = (
    # Brain
    Structure(
        (Part(_T.CSF, (13, 2, 22), (6.5, 30, 9)), Part(_T.CSF, (21, -24, 8), (5.5, 14, 8))),
        paired=True,
        spread=0.22,
    ),
    Structure((Part(_T.CSF, (0, -4, 2), (2.2, 13, 10)),), shift_mm=0.8),
    Structure(
        (Part(_T.NUCLEUS, (11, -9, 6), (8, 14, 9)), Part(_T.NUCLEUS, (26, 8, 6), (7, 17, 11))),
        paired=True,
        spread=0.08,
    ),
    Structure((Part(_T.WHITE, (0, -22, -34), (12, 13, 30)),), shift_mm=0.8),
    Structure((Part(_T.CSF, (0, -38, -34), (7, 5, 10)),), shift_mm=0.8, spread=0.15),
    # Skull base
    Structure(
        (
            Part(_T.CORTICAL, (46, -22, -42), (19, 18, 15)),
            Part(_T.CAVITY, (51, -27, -45), (11, 14, 13), cells=True),
            Part(_T.CAVITY, (55, -12, -40), (13, 4, 4)),
        ),
        paired=True,
        spread=0.08,
    ),
    Structure(
        (
            Part(_T.CORTICAL, (0, 26, -34), (19, 19, 15)),
            Part(_T.CAVITY, (3, 27, -35), (13, 14, 10)),
        ),
        shift_mm=1.5,
        spread=0.12,
    ),
    # Face
    Structure(
        (
            Part(_T.CORTICAL, (31, 57, -31), (20, 26, 19)),
            Part(_T.FAT, (32, 61, -31), (17, 27, 16)),
            Part(_T.MUSCLE, (26, 43, -31), (3.5, 22, 3.5)),
            Part(_T.EYE, (33, 73, -31), (12.3, 12.3, 12.3)),
            Part(_T.LENS, (33, 83, -31), (4.5, 2.2, 4.5)),
        ),
        paired=True,
        spread=0.03,
    ),
    Structure(
        (
            Part(_T.CORTICAL, (10, 78, -3), (14, 8, 16)),
            Part(_T.CAVITY, (10, 78, -3), (11, 5.5, 13)),
        ),
        paired=True,
        spread=0.30,
    ),
    Structure(
        (
            Part(_T.CORTICAL, (0, 58, -34), (12, 22, 15)),
            Part(_T.CAVITY, (0, 58, -34), (11, 21, 14), cells=True),
        ),
        shift_mm=0.8,
    ),
    Structure(
        (
            Part(_T.CORTICAL, (27, 55, -64), (18, 21, 20)),
            Part(_T.CAVITY, (27, 55, -64), (15.5, 18.5, 17.5)),
        ),
        paired=True,
        spread=0.10,
    ),
    Structure((Part(_T.CORTICAL, (50, 48, -55), (8, 24, 6)),), paired=True),
    Structure((Part(_T.CAVITY, (6, 60, -62), (3.8, 32, 20)),), paired=True, spread=0.20),
    Structure((Part(_T.CAVITY, (0, 14, -82), (11, 8, 34)),), shift_mm=1.5),
    Structure(
        (
            Part(_T.CORTICAL, (0, 56, -90), (31, 33, 11)),
            Part(_T.TOOTH, (0, 57, -95), (28, 31, 5)),
            Part(_T.MUSCLE, (0, 46, -93), (22, 31, 16)),
        )
    ),
    Structure(
        (
            Part(_T.CORTICAL, (43, 20, -76), (6, 15, 34)),
            Part(_T.MARROW, (43, 20, -80), (3, 11, 28)),
        ),
        paired=True,
    ),
    # Neck
    Structure(
        (
            Part(_T.CORTICAL, (0, -42, -94), (27, 21, 20)),
            Part(_T.CORTICAL, (0, -18, -98), (13, 10, 30)),
            Part(_T.MARROW, (0, -18, -98), (10, 7.5, 28)),
            Part(_T.CSF, (0, -38, -80), (11, 9, 34)),
            Part(_T.WHITE, (0, -37, -80), (6.5, 5, 34)),
        )
    ),
)
"""Everything inside the outline but the layers of the cranium; later ones cover earlier ones."""
