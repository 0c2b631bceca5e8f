"""The sections of pictures, as HTML."""

import base64
import io
import re

import numpy as np
import pytest
from looks_folder import draw_head, write_histograms, write_looks
from PIL import Image
from sweep_folder import stage, trial_row, write_table

from dashboards.load import load_sweep
from dashboards.pictures.choose import NoSuchTrial
from dashboards.pictures.looks import read_cases
from dashboards.pictures.markup import switched
from dashboards.pictures.plates import comparison_plate
from dashboards.pictures.roi import BadRoi, Roi, box_of
from dashboards.pictures.sections import PictureOptions, picture_sections, picture_style
from data_prep.picture import BONE, BRAIN, ERROR, tile


@pytest.fixture
def looks_dir(sweep_dir):
    write_looks(sweep_dir)
    write_histograms(sweep_dir)
    return sweep_dir


def sections(folder, **options):
    found = picture_sections(load_sweep(folder), PictureOptions(**options))
    return {heading: body() for heading, body in found.items()}


def pictures(html, caption):
    """The pictures whose words end so, as arrays."""
    found = re.findall(rf'<img class="[^"]*" alt="[^"]*{caption}"[^>]*base64,([^"]+)"', html)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(one))).convert("RGB"))
            for one in found]  # fmt: skip


def one_comparison(folder, rois=()):
    sweep, look = load_sweep(folder), read_cases(folder)["p01"]
    return comparison_plate(sweep, (sweep.runs[1], sweep.runs[0]), look, rois)


def test_the_sections_and_what_they_are_called(looks_dir):
    assert list(sections(looks_dir)) == [
        "Slices by epoch", "Two runs beside the CT", "Error maps",
        "Errors by tissue",
    ]  # fmt: skip


def test_an_older_sweep_without_slices_has_no_picture_and_no_error(sweep_dir):
    assert all(body == "" for body in sections(sweep_dir).values())


def test_a_picture_is_what_the_two_fixed_windows_make_of_the_slice(looks_dir):
    plate = one_comparison(looks_dir)
    html = switched([plate], name="n")
    never = plate.rows[0].cells[1].image[plate.frame]
    in_bone, in_brain = pictures(html, "checkpoints, never")
    assert (in_bone == tile(never, BONE)).all()
    assert (in_brain == tile(never, BRAIN)).all()
    (error,) = pictures(html, "never \N{MINUS SIGN} CT")  # one scale, so one picture
    assert (error == tile(plate.rows[0].cells[3].image[plate.frame], ERROR)).all()


def test_windows_are_switched_by_radio_buttons_without_a_script(looks_dir):
    html = sections(looks_dir)["Slices by epoch"]
    assert "<script" not in html
    inputs = re.findall(r'<input type="radio" class="(view\d)" name="by-epoch" id="([^"]+)"', html)
    assert inputs == [("view0", "by-epoch-0"), ("view1", "by-epoch-1")]
    assert re.findall(r'<label for="([^"]+)">([^<]+)', html) == [
        ("by-epoch-0", "Bone 400/2000 HU"), ("by-epoch-1", "Brain 40/80 HU"),
    ]  # fmt: skip
    for place in (0, 1):
        hidden = f".pictures > .view{place}:not(:checked) ~ .views .in{place}"
        assert hidden in picture_style()
        assert f'class="whole in{place}"' in html


def test_no_two_switches_of_a_page_share_a_name(looks_dir):
    html = "".join(sections(looks_dir).values())
    identities = re.findall(r'id="((?:by-epoch|beside-ct|errors)-\d)"', html)
    assert len(identities) == len(set(identities)) == 6


def test_the_scale_of_errors_is_drawn_once_a_view(looks_dir):
    found = sections(looks_dir)
    assert found["Slices by epoch"].count('class="bar') == 1
    maps = found["Error maps"]
    assert re.findall(r'class="bar( in\d)"><span>(.\d+)<', maps) == [
        (" in0", "\N{MINUS SIGN}200"), (" in1", "\N{MINUS SIGN}1000"),
    ]  # fmt: skip
    bar = pictures(switched([one_comparison(looks_dir)], name="n").replace(
        '<img alt="colours', '<img class="" alt="colours'), "HU")[0]  # fmt: skip
    assert (bar[0, 0] == tile(np.array([[-500.0]]), ERROR)[0, 0]).all()
    assert (bar[0, -1] == tile(np.array([[500.0]]), ERROR)[0, 0]).all()


def test_zooms_hold_the_regions_own_pixels_and_the_box_stands_over_them_on_the_ct(looks_dir):
    roi = Roi(20.0, -30.0, 40.0)
    plate = one_comparison(looks_dir, (roi,))
    html = switched([plate], name="n")
    box = box_of(roi, plate.look)
    zoom = pictures(html, "never, zoom 1")[0]
    assert (zoom == tile(box.cut(plate.rows[0].cells[1].image), BONE)).all()
    (mark,) = re.findall(r"top:([\d.]+)%;left:([\d.]+)%;height:([\d.]+)%;width:([\d.]+)%", html)
    whole = pictures(html, "reference, CT")[0]
    height, width, _ = whole.shape
    top, left, high, wide = (float(share) / 100 for share in mark)
    assert (round(high * height), round(wide * width)) == (box.size, box.size)
    top, left = round(top * height), round(left * width)
    ct_zoom = pictures(html, "reference, CT, zoom 1")[0]
    assert (whole[top : top + box.size, left : left + box.size] == ct_zoom).all()


def test_the_regions_are_told_as_the_command_line_takes_them(looks_dir):
    rois = (("p01", Roi(8.0, -10.0, 30.0)),)
    assert "zooms at p01:8.0,-10.0,30 in mm" in sections(looks_dir, rois=rois)["Slices by epoch"]


def test_a_case_with_a_region_by_hand_is_shown_first_and_the_others_are_counted(looks_dir):
    rois = (("p03", Roi(0.0, 0.0)),)
    html = sections(looks_dir, rois=rois, num_cases=2)["Slices by epoch"]
    assert re.findall(r"<h3>(.*?)</h3>", html) == ["Case p03", "Case p01"]
    assert f"Of 3 cases 2 are shown; all lie in {looks_dir.name}/looks" in html


def test_every_case_with_a_region_by_hand_is_shown(looks_dir):
    rois = tuple((case, Roi(0.0, 0.0)) for case in ("p01", "p02", "p03"))
    assert sections(looks_dir, rois=rois, num_cases=1)["Error maps"].count("<h3>") == 3


def test_two_trials_asked_for_without_slices_are_told_to_have_none(sweep_dir):
    found = sections(sweep_dir, compare=("never", "exp.drop"))
    assert "No slices of both best checkpoints" in found["Two runs beside the CT"]


def test_no_case_asked_for_is_no_picture(looks_dir):
    found = sections(looks_dir, num_cases=0)
    assert [heading for heading, body in found.items() if body] == ["Errors by tissue"]


def test_what_is_asked_for_and_not_there_is_refused(looks_dir):
    with pytest.raises(BadRoi, match="--roi p09"):
        sections(looks_dir, rois=(("p09", Roi(0.0, 0.0)),))
    with pytest.raises(NoSuchTrial, match="--compare nobody"):
        sections(looks_dir, compare=("never", "nobody"))


def test_names_cannot_break_the_page(sweep_dir):
    write_looks(sweep_dir, trials=("t",), cases=('"><script>alert(1)</script>',))
    write_table(sweep_dir, "trials.parquet", [trial_row("t", [], best_value=1.0)])
    html = "".join(sections(sweep_dir).values())
    assert "Case" in html
    assert "<script>alert" not in html


def big_head(seed):
    """256 pixels of 1 mm with noise of 12 HU: harder to compress than most slices."""
    return draw_head(seed, shape=(256, 256), pixel_mm=1.0)


def test_a_page_of_60_trials_shows_the_best_six_and_stays_small(sweep_dir):
    names = [f"p{point:02d}.{branch}" for point in range(30) for branch in ("drop", "keep")]
    rows = [
        trial_row(
            name, [stage(1, 3, name[:3], 1.0), stage(4, 6, name, 1.0)], best_value=float(place)
        )
        for place, name in enumerate(names)
    ]
    write_table(sweep_dir, "trials.parquet", rows)
    write_looks(sweep_dir, trials=names[-6:], draw=big_head)
    html = "".join(sections(sweep_dir).values())
    assert "Shown are the best 6 of 60 runs by val/psnr" in html
    assert len(html) < 15e6
