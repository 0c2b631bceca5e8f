"""One head in 3D: which runs are shown, plates, renders, and their files."""

import json
import re

import numpy as np
import pytest
from PIL import Image
from sweep_folder import trial_row, trial_rows, write_table
from volumes_folder import AFFINE, SHAPE, head_hu, write_volume, write_volumes

from dashboards.load import load_sweep
from dashboards.volumes.figures import plates_html, renders_html, write_plates
from dashboards.volumes.folder import chosen, find_head, left_out
from dashboards.volumes.plate import middle_of, planes, plate
from dashboards.volumes.render import bone_sheet, fog_sheet, foggy, off_head
from dashboards.volumes.sheets import with_scale, write_sheet
from data_prep.picture import BONE, tile
from data_prep.volume import BadVolume, Volume


@pytest.fixture
def with_volumes(sweep_dir):
    write_volumes(sweep_dir)
    return sweep_dir


def head_and_runs(folder):
    sweep = load_sweep(folder)
    head = find_head(sweep)
    assert head is not None
    return sweep, head, head.runs


def test_a_sweep_without_volumes_has_nothing_to_show(sweep_dir):
    sweep = load_sweep(sweep_dir)
    assert find_head(sweep) is None
    assert renders_html(sweep) == plates_html(sweep) == ""
    assert write_plates(sweep, sweep_dir / "figures") == []


def test_the_first_case_that_any_run_predicts_is_shown(with_volumes):
    write_volume(with_volumes / "volumes/a_case_ct.nii.gz", head_hu()[0], np.int16)
    _, head, runs = head_and_runs(with_volumes)
    assert head.case == "p01"
    assert [run.trial for run in runs] == ["exp.keep", "exp.drop", "never"]


def test_a_run_without_a_volume_is_left_out(with_volumes):
    (with_volumes / "volumes/exp.drop/p01.nii.gz").unlink()
    assert [run.trial for run in head_and_runs(with_volumes)[2]] == ["exp.keep", "never"]


def test_a_failed_run_with_a_volume_comes_last(with_volumes):
    rows = trial_rows()
    rows[1] |= {"status": "FAILED", "best_value": None}
    write_table(with_volumes, "trials.parquet", rows)
    assert [run.trial for run in head_and_runs(with_volumes)[2]] == [
        "exp.drop",
        "never",
        "exp.keep",
    ]


def test_of_many_runs_the_best_the_claims_arms_and_other_families_are_chosen(sweep_dir):
    names = ("a.x", "a.y", "a.z", "b@s1", "b@s2", "c")
    rows = [trial_row(name, [], best_value=30.0 - n) for n, name in enumerate(names)]
    write_table(sweep_dir, "trials.parquet", [*rows, trial_row("twin", [], same_as="a.z")])
    write_volumes(sweep_dir, dict.fromkeys(names, -1000.0))
    sweep, head, _ = head_and_runs(sweep_dir)

    def picked(limit):
        return [run.trial for run in chosen(sweep, head, limit=limit)]

    assert picked(4) == ["a.x", "a.y", "b@s1", "c"]
    (sweep_dir / "claim.json").write_text(json.dumps({"a": "twin", "b": "b@s2", "on": "psnr"}))
    assert picked(3) == ["a.x", "a.z", "b@s2"]
    (sweep_dir / "claim.json").write_text(json.dumps({"a": "c", "b": "b", "on": "psnr"}))
    assert picked(3) == ["a.x", "b@s1", "c"]  # the best seed stands for its setting
    assert picked(9) == list(names)
    assert "3 more in" in left_out(head, chosen(sweep, head, limit=3))
    assert left_out(head, chosen(sweep, head, limit=6)) == ""


def test_the_plate_has_a_row_each_for_ct_mr_head_runs_and_skull(with_volumes):
    sheet = plate(*head_and_runs(with_volumes))
    assert [row.name for row in sheet.rows] == [
        "CT", "MR", "CT head", "pCT exp.keep = always", "pCT exp.drop", "pCT never", "skull mask",
    ]  # fmt: skip
    assert sheet.columns == ("axial", "coronal", "sagittal")


def test_what_is_absent_has_no_row_in_the_plate(with_volumes):
    for kind in ("mr", "skull", "head"):
        (with_volumes / f"volumes/p01_{kind}.nii.gz").unlink()
    names = [row.name for row in plate(*head_and_runs(with_volumes)).rows]
    assert names[:2] == ["CT", "CT head"]
    assert "skull mask" not in names


def test_the_planes_lie_in_the_middle_of_the_head_wherever_it_is():
    mask = np.zeros((9, 11, 13), bool)
    mask[1:4, 5:10, 2:13] = True
    assert middle_of(mask) == (2, 7, 7)
    array = np.arange(mask.size).reshape(mask.shape)
    axial, coronal, sagittal = planes(Volume(array, np.diag([1.0, 2.0, 3.0, 1.0])), (2, 7, 7))
    assert axial[0][7, 2] == coronal[0][7, 2] == sagittal[0][7, 7] == array[2, 7, 7]
    assert [plane[1:] for plane in (axial, coronal, sagittal)] == [(2, 1), (3, 1), (3, 2)]


def test_an_empty_head_mask_is_refused_with_what_to_do():
    with pytest.raises(BadVolume, match=r"head mask .* is empty: expected a head\. Delete"):
        middle_of(np.zeros((3, 3, 3), bool))


def test_the_scale_bar_is_50_mm_long():
    black = np.zeros((100, 200, 3), np.uint8)
    drawn = with_scale(black, pixel_mm=0.8, sides=("", ""))
    bar = np.flatnonzero((drawn[-9] == 255).all(axis=-1))
    assert len(bar) - 1 == round(50 / 0.8)


def test_the_pictures_of_the_ct_head_are_black_outside_it(with_volumes):
    ct, _, skull = head_hu()
    ct[:3] = 2000.0  # something bright beside the head
    write_volume(with_volumes / "volumes/p01_ct.nii.gz", ct, np.int16)
    rows = {row.name: row.tiles[0] for row in plate(*head_and_runs(with_volumes)).rows}
    right = (slice(20, 60), slice(-9, None))  # columns of the patient's left
    assert rows["CT"][right].min() > 200
    assert rows["CT head"][right].max() == 0
    assert skull.any()
    assert rows["skull mask"].max() == 255


def test_fog_is_seen_as_haze_and_only_where_it_is(with_volumes):
    sweep, head, runs = head_and_runs(with_volumes)
    sheet = fog_sheet(sweep, head, runs)
    corner = {row.name: row.tiles[0][4, 4].astype(int) for row in sheet.rows}
    assert list(corner) == ["CT", "exp.keep = always", "exp.drop", "never"]
    for clear in ("CT", "exp.keep = always", "exp.drop"):
        assert corner[clear].max() < 30, clear
    assert corner["never"][2] > 120  # blue
    assert corner["never"][2] > corner["never"][0] + 40
    middle = [tile_.shape[0] // 2 for tile_ in sheet.rows[0].tiles]
    for tile_, at in zip(sheet.rows[0].tiles, middle, strict=True):
        assert tile_[at, tile_.shape[1] // 2].min() > 120  # the skin, lit


def test_the_haze_is_as_thick_as_its_formula_says():
    hu = np.full(SHAPE, -700.0)
    background = np.ones(SHAPE, bool)
    drawn = foggy(Volume(hu, AFFINE), background, view="front")
    hidden = 1 - np.exp(-SHAPE[1] * 4.0 / 100.0)
    expected = 0.96 * hidden + 23 / 255 * (1 - hidden)
    assert abs(int(drawn[20, 20, 2]) - 255 * expected) < 1.5


def test_fog_at_its_threshold_is_clear_air_and_the_densest_fog_is_never_skin():
    background = np.ones(SHAPE, bool)
    clear, faint, dense = (
        foggy(Volume(np.full(SHAPE, hu), AFFINE), background, view="left")
        for hu in (-900.0, -899.0, 500.0)
    )
    assert (clear == (17, 19, 23)).all()
    assert (faint == dense).all()
    assert faint[20, 20, 2] > faint[20, 20, 0] + 60


def test_background_begins_5_mm_from_the_head():
    mask = np.zeros((9, 3, 3), bool)
    mask[0] = True
    assert off_head(mask, (2.0, 2.0, 2.0))[:, 0, 0].tolist() == [False] * 3 + [True] * 6


def test_bone_is_cut_to_the_head_and_blank_without_bone(with_volumes):
    sweep, head, runs = head_and_runs(with_volumes)
    soft = np.where(head_hu()[1], 40.0, -1000.0)
    write_volume(with_volumes / "volumes/never/p01.nii.gz", soft, np.int16)
    sheet = bone_sheet(sweep, head, runs)
    rows = {row.name: row.tiles for row in sheet.rows}
    assert np.ptp(rows["never"][0].reshape(-1, 3), axis=0).max() == 0
    bright = rows["CT"][0].max(axis=-1) > 60
    assert 0.4 < bright.mean() < 0.8
    wide_mm = rows["CT"][0].shape[1] * 0.8
    assert wide_mm == pytest.approx(2 * 68 + 2 * 12, abs=8)


def test_the_page_names_every_picture_for_those_who_cannot_see_it(with_volumes):
    html = renders_html(load_sweep(with_volumes)) + plates_html(load_sweep(with_volumes))
    pictures = re.findall(r"<img ([^>]*)>", html)
    assert len(pictures) == 4 * 3 + 4 * 4 + 7 * 3
    assert all(re.match(r'alt="[^"]+: [^"]+" src="data:image/webp;base64,', p) for p in pictures)
    assert 'scope="row">exp.keep = always<' in html


def test_names_of_runs_cannot_break_the_figures(sweep_dir):
    write_table(sweep_dir, "trials.parquet", [trial_row("<b>&", [], best_value=1.0)])
    write_volumes(sweep_dir, {"<b>&": -1000.0})
    assert "&lt;b&gt;&amp;" in plates_html(load_sweep(sweep_dir))
    assert "<b>" not in plates_html(load_sweep(sweep_dir))


def test_runs_beyond_the_limit_are_told(with_volumes):
    html = plates_html(load_sweep(with_volumes), limit=1)
    assert "pCT exp.keep" in html
    assert "pCT never" not in html
    assert f"2 more in {with_volumes.name}/volumes." in html


def test_the_papers_figures_are_png_and_pdf_of_one_page_and_always_the_same(with_volumes, tmp_path):
    sweep = load_sweep(with_volumes)
    paths = write_plates(sweep, tmp_path / "one")
    assert [path.name for path in paths] == [
        f"{name}.{kind}"
        for name in ("contact-plate", "render-fog", "render-bone")
        for kind in ("png", "pdf")
    ]
    again = write_sheet(plate(*head_and_runs(with_volumes)), tmp_path / "two", "contact-plate")
    assert [p.read_bytes() for p in paths[:2]] == [p.read_bytes() for p in again]
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == sorted(p.name for p in paths)
    with Image.open(paths[0]) as picture:
        assert round(picture.info["dpi"][0]) == 300
        assert picture.height <= 9.4 * 300 + 1
    assert b"/Type /Page " in paths[1].read_bytes()
    assert b"/FontFile2" in paths[1].read_bytes()  # TrueType, embedded


def test_a_tile_keeps_its_window(with_volumes):
    _, head, _ = head_and_runs(with_volumes)
    ct = head.load_ct().array
    assert tile(ct[:, :, 28].T, BONE).max() == round((1100 + 600) / 2000 * 255)
