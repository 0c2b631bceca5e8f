"""The figures for a paper."""

import re
import subprocess
import sys
import zlib

import pytest
from looks_folder import write_histograms, write_looks
from matplotlib.figure import Figure
from PIL import Image
from sweep_folder import history_rows, trial_row, write_sweep, write_table

from dashboards.curves.curves import NGF, NGF_OF_CT, PSNR
from dashboards.families import trial_colours
from dashboards.load import load_sweep
from dashboards.pictures.figures import write_figures
from dashboards.pictures.ink import MUTED
from dashboards.pictures.ink_curves import draw_metric, write_curves
from dashboards.pictures.ink_plates import write_plate
from dashboards.pictures.looks import read_cases
from dashboards.pictures.plates import IN_BONE, comparison_plate
from dashboards.pictures.roi import rois_of
from dashboards.pictures.sections import PictureOptions

ONE_CASE = PictureOptions(num_cases=1)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper") / "demo"
    write_sweep(folder)
    write_looks(folder)
    write_histograms(folder)
    return write_figures(load_sweep(folder), folder / "figures", ONE_CASE)


def content_of(pdf):
    """All streams of a PDF, unpacked where they are packed."""
    data = pdf.read_bytes()
    parts = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.S)
    return data + b"".join(zlib.decompress(part) for part in parts if part[:1] == b"\x78")


def test_each_figure_is_written_as_png_and_pdf_and_nothing_else_is_left(written):
    assert [path.name for path in written] == [
        f"{name}{suffix}"
        for name in (
            "psnr", "switch", "epochs_p01_bone", "epochs_p01_brain", "beside_p01_bone",
            "beside_p01_brain", "errors_p01_200", "errors_p01_1000", "histograms",
        )
        for suffix in (".png", ".pdf")
    ]  # fmt: skip
    assert sorted(written[0].parent.iterdir()) == sorted(written)


def test_pngs_have_300_dots_an_inch_and_a_pages_width(written):
    with Image.open(written[0]) as image:
        assert image.width == 2100
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_fonts_are_embedded_as_truetype_and_no_date_is_kept(written):
    for path in written[1::2]:
        content = content_of(path)
        assert b"/FontFile2" in content
        assert b"/Type3" not in content
        assert b"CreationDate" not in content


def test_pictures_in_a_pdf_keep_their_own_pixels(written):
    (pdf,) = [path for path in written if path.name == "beside_p01_bone.pdf"]
    sizes = {tuple(map(int, pair)) for pair in
             re.findall(rb"/Height (\d+).*?/Width (\d+)", content_of(pdf), re.S)}  # fmt: skip
    assert (10, 10) in sizes  # a zoom of 40 mm at 4 mm a pixel


def test_the_same_sweep_gives_the_same_bytes(written, tmp_path):
    sweep = load_sweep(written[0].parents[1])
    look = read_cases(sweep.folder)["p01"]
    pair = (sweep.runs[1], sweep.runs[0])
    plate = comparison_plate(sweep, pair, look, rois_of(look, ()))
    write_plate(plate, IN_BONE, tmp_path / "beside_p01_bone")
    write_curves(sweep, sweep.runs, [PSNR], tmp_path / "psnr")
    before = {path.name: path.read_bytes() for path in written}
    again = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(again) == 4
    assert {name for name, content in again.items() if before[name] != content} == set()


def test_a_sweep_without_slices_or_forks_has_the_psnr_curve_alone(sweep_dir):
    write_table(sweep_dir, "trials.parquet", [trial_row("never", [])])
    paths = write_figures(load_sweep(sweep_dir), sweep_dir / "figures", ONE_CASE)
    assert [path.name for path in paths] == ["psnr.png", "psnr.pdf"]


def test_curves_bear_their_runs_colour_and_the_fork_is_marked(sweep_dir):
    sweep, axes = load_sweep(sweep_dir), Figure().add_subplot()
    draw_metric(axes, sweep, sweep.runs, PSNR)
    colours = trial_colours(sweep)
    drawn = [(line.get_color(), line.get_linestyle(), list(line.get_xdata()))
             for line in axes.lines]  # fmt: skip
    assert drawn == [
        (colours["never"], "-", [1, 2, 3, 4, 5, 6]),
        (colours["exp.keep"], "-", [1, 2, 3, 4, 5, 6]),
        (colours["exp.drop"], "--", [1, 2, 3]),
        (colours["exp.drop"], "-", [3, 4, 5, 6]),
        (MUTED, "--", [3, 3]),
    ]
    assert [text.get_text() for text in axes.texts] == ["fork 3"]
    assert axes.get_legend_handles_labels()[1] == ["never", "exp.keep = always", "exp.drop"]


def test_the_ngf_of_the_ct_itself_is_a_line_across(sweep_dir):
    known = {"trial": "never", "epoch": 1, "metric": NGF_OF_CT, "value": 0.77, "carried": False}
    write_table(sweep_dir, "history.parquet", [*history_rows(), known])
    sweep, axes = load_sweep(sweep_dir), Figure().add_subplot()
    draw_metric(axes, sweep, sweep.runs[:1], NGF)
    assert [list(line.get_ydata()) for line in axes.lines if line.get_label() == "CT"] == [
        [0.77, 0.77]
    ]


def test_no_display_and_no_pyplot_is_asked_for():
    code = "import sys, dashboards.pictures.figures; print('matplotlib.pyplot' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_a_fork_of_runs_that_are_not_drawn_is_not_marked(sweep_dir):
    sweep, axes = load_sweep(sweep_dir), Figure().add_subplot()
    draw_metric(axes, sweep, [run for run in sweep.runs if run.trial == "never"], PSNR)
    assert [text.get_text() for text in axes.texts] == []
