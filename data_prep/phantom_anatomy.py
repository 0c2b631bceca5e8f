"""One subject's head as shapes in mm, and its tissue labels on any grid.

Shapes live in a canonical frame: RAS mm, origin below the centre of the cranium, midplane x = 0.
A subject has an affine from there to the scanner, so the same head can be sampled on several
grids, however fine or oblique, and stays exactly where it is.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from data_prep.phantom_tissues import EARS, OUTLINE, STRUCTURES, Part, Point, Structure, Tissue
from data_prep.volume import Affine, Grid

Array = NDArray[np.float32]
Labels = NDArray[np.uint8]

CRANIUM_CENTRE_MM: Point = (0.0, 0.0, 12.0)
CRANIUM_RADII_MM: Point = (73.0, 91.0, 75.0)

_SHELLS = ((0.0, Tissue.SKIN), (2.2, Tissue.FAT), (6.0, Tissue.MUSCLE))
"""Depth in mm at which a soft tissue begins, face and neck."""


@dataclass(frozen=True)
class Anatomy:
    """One head. `affine` maps canonical mm to RAS mm; thicknesses are those of the mean."""

    affine: Affine
    outline: tuple[Part, ...]
    ears: tuple[Part, ...]
    inner: tuple[Part, ...]
    scalp_mm: float
    skull_mm: float
    scalp_lean: Point
    """Relative change of the scalp's thickness to the right, front and top."""
    skull_lean: Point
    phases: tuple[float, ...]
    """Of the folds of the cortex, rad."""


@dataclass(frozen=True)
class _Canvas:
    """Labels being painted, each voxel's canonical coordinates, and the way back to indices."""

    labels: Labels
    mm: tuple[Array, Array, Array]
    to_voxel: Affine


def draw_anatomy(seed: int, *, asymmetry: float = 1.0) -> Anatomy:
    """A subject, the same one for the same seed.

    `asymmetry` scales everything that tells left from right: tilt, unequal ventricles and sinuses,
    nose, tumour; 0 is a head that equals its mirror image in the plane x = 0.
    """
    rng = np.random.default_rng([seed, 1])
    yaw, roll, pitch = np.clip(rng.normal(0, (4.0, 2.0, 3.0)), (-7, -4, -5), (7, 4, 5))
    shift = np.clip(rng.normal(0, (3.0, 2.0, 1.5)), -3, 3) - (0, 3, 0)
    lean = np.clip(rng.normal(0, 0.10, (2, 3)), -0.2, 0.2)
    lean[:, 0] *= asymmetry
    affine = np.eye(4)
    angles = [yaw * asymmetry, roll * asymmetry, pitch]
    rotation = Rotation.from_euler("zyx", angles, degrees=True).as_matrix()
    affine[:3, :3] = rotation * rng.uniform((0.94, 0.94, 0.94), (1.06, 1.02, 1.04))
    affine[:3, 3] = shift * (asymmetry, 1, 1)
    inner = [part for item in STRUCTURES for part in _vary(item, rng, asymmetry)]
    inner += _tumour(rng) if asymmetry > 0 else []
    return Anatomy(
        affine=affine,
        outline=tuple(part for item in OUTLINE for part in _vary(item, rng, asymmetry)),
        ears=tuple(_vary(EARS, rng, asymmetry)),
        inner=tuple(inner),
        scalp_mm=float(rng.uniform(4.5, 7.5)),
        skull_mm=float(rng.uniform(5.5, 8.0)),
        scalp_lean=(lean[0, 0], lean[0, 1], lean[0, 2]),
        skull_lean=(lean[1, 0], lean[1, 1], lean[1, 2]),
        phases=tuple(rng.uniform(0, 2 * np.pi, 5)),
    )


def label_tissues(anatomy: Anatomy, grid: Grid) -> Labels:
    """Tissue of each voxel centre of `grid`, uint8 `Tissue` values, 0 outside the head."""
    canvas = _blank(anatomy, grid)
    box = _box(canvas, CRANIUM_CENTRE_MM, CRANIUM_RADII_MM)
    depth = _depth(*_relative(canvas, box))
    for start_mm, tissue in _SHELLS:
        canvas.labels[box][depth > start_mm] = tissue
        for part in anatomy.outline:
            radii = (part.radii[0] - start_mm, part.radii[1] - start_mm, part.radii[2] - start_mm)
            _paint(canvas, replace(part, tissue=tissue, radii=radii))
    canvas.labels[box] = _cranium(anatomy, canvas, box, depth)
    for part in anatomy.ears:
        _paint(canvas, part, only="air")
    for part in anatomy.inner:
        _paint(canvas, part, only="head")
    return canvas.labels


def _vary(item: Structure, rng: np.random.Generator, asymmetry: float) -> list[Part]:
    """This subject's parts of a structure: moved and grown together, mirrored where paired."""
    shift = np.clip(rng.normal(0, 1, 3), -2, 2) * item.shift_mm
    off_side = np.clip(rng.normal(0, 1, 3), -2, 2) * item.shift_mm * 0.5 * asymmetry
    growth = float(np.clip(rng.normal(), -2, 2)) * item.spread
    if not item.paired:
        shift[0] *= asymmetry
        return [_moved(part, 1, shift, 1 + growth) for part in item.parts]
    unequal = growth * asymmetry
    right = [_moved(part, 1, shift + off_side, 1 + unequal) for part in item.parts]
    left = [_moved(part, -1, shift - off_side, 1 - unequal) for part in item.parts]
    return right + left


def _moved(part: Part, side: int, shift: NDArray[np.float64], growth: float) -> Part:
    x, y, z = np.asarray(part.centre) + shift
    rx, ry, rz = np.asarray(part.radii) * growth
    return replace(part, centre=(side * x, y, z), radii=(rx, ry, rz))


def _tumour(rng: np.random.Generator) -> list[Part]:
    """A metastasis of 8-24 mm in its oedema, on one side, where radiosurgery would find it."""
    side = rng.choice((-1.0, 1.0))
    centre = (side * rng.uniform(24, 44), rng.uniform(-45, 40), rng.uniform(10, 45))
    radius = rng.uniform(4, 12)
    halo = (radius * 1.5 + 3, radius * 1.4 + 3, radius * 1.2 + 3)
    return [Part(Tissue.OEDEMA, centre, halo), Part(Tissue.TUMOUR, centre, (radius,) * 3)]


def _blank(anatomy: Anatomy, grid: Grid) -> _Canvas:
    to_voxel = np.linalg.inv(grid.affine) @ anatomy.affine
    rows = np.linalg.inv(to_voxel)[:3].astype(np.float32)
    index = np.ogrid[tuple(slice(0, n) for n in grid.shape)]
    i, j, k = (axis.astype(np.float32) for axis in index)
    u, v, w = (row[0] * i + row[1] * j + (row[2] * k + row[3]) for row in rows)
    return _Canvas(np.zeros(grid.shape, np.uint8), (u, v, w), to_voxel)


def _box(canvas: _Canvas, centre: Point, radii: Point) -> tuple[slice, slice, slice]:
    """The index box that holds an ellipsoid, cut to the grid."""
    linear = canvas.to_voxel[:3, :3]
    middle = linear @ centre + canvas.to_voxel[:3, 3]
    half = np.sqrt(((linear * radii) ** 2).sum(axis=1))
    start = np.maximum(np.floor(middle - half), 0).astype(int)
    stop = np.maximum(np.ceil(middle + half) + 1, 0).astype(int)
    i, j, k = (slice(low, high) for low, high in zip(start, stop, strict=True))
    return i, j, k


def _paint(canvas: _Canvas, part: Part, *, only: Literal["head", "air"] | None = None) -> None:
    """Cover an ellipsoid with its tissue, or `only` what of it is head, or air, by now."""
    box = _box(canvas, part.centre, part.radii)
    terms = zip(canvas.mm, part.centre, part.radii, strict=True)
    u, v, w = ((axis[box] - centre) * (1 / radius) for axis, centre, radius in terms)
    where = u * u + v * v + w * w <= 1
    if part.cells:
        x, y, z = (axis[box] for axis in canvas.mm)
        where &= np.sin(0.9 * x) * np.sin(0.8 * y) * np.cos(0.5 * z) > -0.12
    if only is not None:
        where &= (canvas.labels[box] == Tissue.AIR) == (only == "air")
    canvas.labels[box][where] = part.tissue


def _relative(canvas: _Canvas, box: tuple[slice, slice, slice]) -> tuple[Array, Array, Array]:
    u, v, w = (axis[box] - mid for axis, mid in zip(canvas.mm, CRANIUM_CENTRE_MM, strict=True))
    return u, v, w


def _depth(u: Array, v: Array, w: Array) -> Array:
    """Depth in mm below the surface of the cranium, along the ray from its centre; < 0 outside.

    Egg-shaped: narrower to the front than to the back.
    """
    a, b, c = CRANIUM_RADII_MM
    narrowed = u / (a - 0.09 * a / b * v)
    ratio = np.sqrt(narrowed**2 + (v / b) ** 2 + (w / c) ** 2)
    distance = np.sqrt(u * u + v * v + w * w)
    return np.asarray(distance / np.maximum(ratio, 1e-3) - distance, np.float32)


def _cranium(
    anatomy: Anatomy, canvas: _Canvas, box: tuple[slice, slice, slice], depth: Array
) -> Labels:
    """Scalp, the three tables of the skull, CSF, grey and white matter above the skull's floor."""
    u, v, w = _relative(canvas, box)
    away = 1 / np.maximum(np.sqrt(u * u + v * v + w * w), 1.0)
    right, front, top = u * away, v * away, w * away
    scalp = anatomy.scalp_mm * (1 + _lean(anatomy.scalp_lean, right, front, top) + 0.15 * front**2)
    skull = anatomy.skull_mm * (
        1.1 + _lean(anatomy.skull_lean, right, front, top) - 0.22 * front - 0.40 * right**2
    )
    above_floor = w - (0.5 * v - 53.0)  # the floor falls from the orbits' roof to the occiput
    into_bone = np.minimum(depth - scalp, above_floor)
    into_brain = np.minimum(depth - scalp - skull, above_floor - 5.0)
    labels = canvas.labels[box].copy()
    labels[into_bone > 0] = Tissue.CORTICAL
    middle = np.abs(depth - scalp - 0.5 * skull) < 0.22 * skull
    labels[middle & (above_floor > 2.5)] = Tissue.MARROW
    labels[into_brain > 0] = Tissue.CSF
    fold = _folds(u, v, w, anatomy.phases)
    cortex = into_brain - 2.0 - 12.0 * np.maximum(fold - 0.55, 0)
    labels[cortex > 0] = Tissue.GREY
    labels[cortex > 4.0 + 9.0 * np.maximum(fold - 0.1, 0)] = Tissue.WHITE
    fissure = np.abs(u + 0.8 * np.sin(0.11 * v)) + 100.0 * (w < 12.0)
    labels[(fissure < 2.0) & (into_brain > 0) & (into_brain < 34)] = Tissue.CSF
    labels[(fissure < 0.9) & (into_brain > 0) & (into_brain < 30)] = Tissue.DURA
    return labels


def _lean(lean: Point, right: Array, front: Array, top: Array) -> Array:
    return np.asarray(lean[0] * right + lean[1] * front + lean[2] * top, np.float32)


def _folds(u: Array, v: Array, w: Array, phases: tuple[float, ...]) -> Array:
    """Up to 1 on winding sheets some 15 mm apart, the sulci; below 0 between them, the gyri.

    Even in u, so that it spoils no mirror symmetry.
    """
    p, q, r, s, t = phases
    side = np.abs(u)
    wave = np.sin(0.19 * side + 1.5 * np.sin(0.09 * v + p) + q)
    wave += np.sin(0.20 * v + 1.5 * np.sin(0.10 * w + r) + s)
    wave += np.sin(0.18 * w + 0.12 * side + t)
    return np.asarray(1.0 - 1.6 * np.abs(wave), np.float32)
