"""Water-equivalent paths through bodies whose answer is known, and where the table comes from."""

import math

import numpy as np
import pytest

from pct.metrics.wepl import HU_TO_RSP, brain_targets, path_mm, rsp, upper_directions, wepl_mm

SPACING_MM = (2.0, 1.5, 1.0)


def ball(radius_mm: float, spacing_mm=SPACING_MM) -> tuple[np.ndarray, np.ndarray]:
    """Distance from the middle in mm, and the ball's mask."""
    axes = [np.arange(-round(radius_mm * 1.2 / step), round(radius_mm * 1.2 / step) + 1) * step
            for step in spacing_mm]  # fmt: skip
    r = np.sqrt(sum(np.square(one) for one in np.meshgrid(*axes, indexing="ij")))
    return r, r < radius_mm


def test_a_slab_counts_its_thickness_times_its_stopping_power():
    hu = np.zeros((21, 21, 200))
    hu[..., 100:120] = 999  # 20 mm of skull
    head = np.zeros(hu.shape, bool)
    head[..., 50:150] = True
    right = np.array([[0.0, 0.0, 1.0]])
    length = path_mm(hu, head, np.array([20.0, 15.0, 79.5]), SPACING_MM, right)
    # From 79.5 mm to the head's last face at 149.5, 20 of it bone, whose two edges are linear.
    assert length[0] == pytest.approx(50 * 1.0 + 20 * 1.461, abs=0.6)


def test_a_slanted_ray_runs_longer_by_the_cosine():
    hu = np.full((60, 60, 90), 43.0)
    head = np.zeros(hu.shape, bool)
    head[:, :, 10:80] = True
    target = np.array([60.0, 45.0, 39.5])
    for angle in (0.0, 0.3, 0.6):
        ray = np.array([[0.0, np.sin(angle), np.cos(angle)]])
        length = path_mm(hu, head, target, SPACING_MM, ray)[0]
        assert length == pytest.approx(1.041 * 40 / np.cos(angle), abs=1.05)


def test_from_the_middle_of_a_ball_all_rays_are_its_radius_long():
    r, head = ball(80.0)
    middle = np.array([(size - 1) / 2 for size in r.shape]) * SPACING_MM
    lengths = path_mm(np.zeros(r.shape), head, middle, SPACING_MM, upper_directions())
    assert lengths.mean() == pytest.approx(80.0, abs=0.5)
    assert np.abs(lengths - 80.0).max() < 2.0


def test_a_skull_taken_for_soft_tissue_is_off_by_its_thickness_times_the_difference():
    r, head = ball(80.0)
    ct = np.where((r > 60) & (r < 68), 999.0, 43.0)
    pct = np.full_like(ct, 43.0)
    middle = np.array([(size - 1) / 2 for size in r.shape]) * SPACING_MM
    paths = [path_mm(one, head, middle, SPACING_MM, upper_directions()) for one in (ct, pct)]
    assert (paths[0] - paths[1]).mean() == pytest.approx(8 * (1.461 - 1.041), rel=0.05)


def test_a_head_of_water_seen_ten_per_cent_too_dense_is_off_by_a_tenth_of_the_paths():
    r, head = ball(80.0)
    dense = float(np.interp(1.1, [1.041, 1.102], [43.0, 99.0]))
    water = np.zeros(r.shape)
    paths = np.concatenate([
        path_mm(water, head, target, SPACING_MM, upper_directions())
        for target in brain_targets(head, SPACING_MM)
    ])  # fmt: skip
    assert len(paths) == 192
    error = wepl_mm(np.full(r.shape, dense), water, head, SPACING_MM)
    assert error == pytest.approx(0.1 * paths.mean(), rel=1e-6)


def test_nothing_outside_the_head_counts():
    r, head = ball(80.0)
    clear = np.where(head, 43.0, -1000.0)
    assert wepl_mm(np.where(r < 84, clear, 500.0), clear, head, SPACING_MM) < 0.3  # edges blend
    far = np.where(r < 90, clear, 3000.0)
    assert wepl_mm(far, clear, head, SPACING_MM) == 0.0


def test_identical_volumes_have_no_error_and_no_head_has_none_either():
    r, head = ball(80.0)
    noise = np.random.default_rng(0).normal(0, 300, r.shape)
    assert wepl_mm(noise, noise, head, SPACING_MM) == 0.0
    assert math.isnan(wepl_mm(noise, noise, np.zeros_like(head), SPACING_MM))


def test_targets_lie_around_the_middle_of_the_upper_head_and_inside_it():
    _, head = ball(60.0, (2.0, 2.0, 2.0))
    neck = np.zeros((60, *head.shape[1:]), bool)
    neck[:, 30:45, 30:45] = True
    upper = brain_targets(np.concatenate([neck, head]), (2.0, 2.0, 2.0))
    middle = np.array([120 + 72.0, 72.0, 72.0])
    np.testing.assert_allclose(upper[0], middle, atol=1.0)
    assert len(upper) == 6
    assert len(brain_targets(ball(27.0)[1], SPACING_MM)) == 4  # those at 30 mm lie outside
    assert len(brain_targets(ball(20.0)[1], SPACING_MM)) == 1


def test_directions_are_unit_vectors_spread_over_the_upper_half():
    directions = upper_directions()
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0)
    assert (directions[:, 0] > 0).all()
    np.testing.assert_allclose(directions.mean(axis=0), [0.5, 0, 0], atol=0.03)
    cosines = directions @ directions.T - 2 * np.eye(len(directions))
    assert np.degrees(np.arccos(cosines.max())) > 15  # no two close together


# Atomic number, mass, and mean excitation energy in eV (ICRU 49, in compounds).
ELEMENTS = {
    "H": (1, 1.008, 19.2), "C": (6, 12.011, 81.0), "N": (7, 14.007, 82.0),
    "O": (8, 15.999, 106.0), "Na": (11, 22.990, 168.4), "Mg": (12, 24.305, 176.3),
    "P": (15, 30.974, 195.5), "S": (16, 32.06, 203.4), "Cl": (17, 35.45, 180.0),
    "Ar": (18, 39.95, 188.0), "K": (19, 39.098, 214.7), "Ca": (20, 40.078, 215.8),
    "Fe": (26, 55.845, 323.2),
}  # fmt: skip
WATER = {"H": 11.19, "O": 88.81}
# Density in g/cm3 and mass per cent (ICRU 44, Woodard and White 1986).
TISSUES = {
    "adipose 3": (0.93, {"H": 11.6, "C": 68.1, "N": 0.2, "O": 19.8, "Na": 0.1, "S": 0.1,
                         "Cl": 0.1}),
    "water": (1.0, WATER),
    "muscle": (1.05, {"H": 10.2, "C": 14.3, "N": 3.4, "O": 71.0, "Na": 0.1, "P": 0.2, "S": 0.3,
                      "Cl": 0.1, "K": 0.4}),
    "connective": (1.12, {"H": 9.4, "C": 20.7, "N": 6.2, "O": 62.2, "Na": 0.6, "S": 0.6,
                          "Cl": 0.3}),
    "spongiosa": (1.18, {"H": 8.5, "C": 40.4, "N": 2.8, "O": 36.7, "Na": 0.1, "Mg": 0.1, "P": 3.4,
                         "S": 0.2, "Cl": 0.2, "K": 0.1, "Ca": 7.4, "Fe": 0.1}),
    "cranium": (1.61, {"H": 5.0, "C": 21.2, "N": 4.0, "O": 43.5, "Na": 0.1, "Mg": 0.2, "P": 8.1,
                       "S": 0.3, "Ca": 17.6}),
    "cortical": (1.92, {"H": 3.4, "C": 15.5, "N": 4.2, "O": 43.5, "Na": 0.1, "Mg": 0.2, "P": 10.3,
                        "S": 0.3, "Ca": 22.5}),
}  # fmt: skip


def stoichiometric(density: float, composition: dict[str, float]) -> tuple[float, float]:
    """HU (Schneider 2000, eq. 8) and relative stopping power (Bethe, 100 MeV) of a tissue."""

    def attenuation(parts):
        return sum(
            share / mass * (z + 1.24e-3 * z**2.86 + 3.06e-5 * z**4.62)
            for share, (z, mass, _) in ((w, ELEMENTS[e]) for e, w in parts.items())
        ) / sum(parts.values())

    def electrons(parts):
        return sum(w * ELEMENTS[e][0] / ELEMENTS[e][1] for e, w in parts.items()) / sum(
            parts.values()
        )

    def excitation_ev(parts):
        weights = {e: w * ELEMENTS[e][0] / ELEMENTS[e][1] for e, w in parts.items()}
        logs = sum(n * math.log(ELEMENTS[e][2]) for e, n in weights.items())
        return math.exp(logs / sum(weights.values()))

    def bethe(excitation):
        squared = 1 - 1 / (1 + 100 / 938.272) ** 2  # (v/c)^2 at 100 MeV
        return math.log(2 * 510998.95 * squared / (excitation * (1 - squared))) - squared

    hu = 1000 * (density * attenuation(composition) / attenuation(WATER) - 1)
    relative = density * electrons(composition) / electrons(WATER)
    return hu, relative * bethe(excitation_ev(composition)) / bethe(75.0)


def test_the_table_follows_from_the_tissues_composition():
    known = {hu: value for hu, value in HU_TO_RSP if -1000 < hu < 3000}
    derived = [stoichiometric(*tissue) for tissue in TISSUES.values()]
    np.testing.assert_allclose([hu for hu, _ in derived], list(known), atol=1.0)
    np.testing.assert_allclose([power for _, power in derived], list(known.values()), atol=1e-3)


def test_the_table_rises_and_goes_on_beyond_bone_with_bones_slope():
    hu, power = np.array(HU_TO_RSP).T
    assert (np.diff(hu) > 0).all()
    assert (np.diff(power) > 0).all()
    slope = (1.690 - 1.461) / (1524 - 999)
    assert power[-1] == pytest.approx(1.690 + slope * (3071 - 1524), abs=2e-3)
    assert rsp(np.array([-1024.0, -1000.0, 0.0, 4000.0])).tolist() == [0.001, 0.001, 1.0, 2.365]
