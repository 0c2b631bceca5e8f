"""The figures for a paper."""

import re
import subprocess
import sys
import zlib

import numpy as np
import pytest
from looks_folder import write_histograms, write_looks
from PIL import Image
from sweep_folder import trial_row, write_table

from dashboards.load import load_sweep
from dashboards.pictures.figures import write_figures
from dashboards.pictures.ink_curves import PSNR, write_curves
from dashboards.pictures.sections import PictureOptions

ONE_CASE = PictureOptions(num_cases=1)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    from sweep_folder import write_sweep

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


def test_the_same_sweep_gives_the_same_bytes(written):
    sweep = load_sweep(written[0].parents[1])
    before = {path: path.read_bytes() for path in written}
    again = write_figures(sweep, written[0].parent, ONE_CASE)
    assert [path.name for path in again if before[path] != path.read_bytes()] == []


def test_a_sweep_without_slices_or_forks_has_the_psnr_curve_alone(sweep_dir):
    write_table(sweep_dir, "trials.parquet", [trial_row("never", [])])
    paths = write_figures(load_sweep(sweep_dir), sweep_dir / "figures", ONE_CASE)
    assert [path.name for path in paths] == ["psnr.png", "psnr.pdf"]


def test_a_curve_is_drawn_in_its_runs_colour_and_its_fork_is_marked(sweep_dir, tmp_path):
    sweep = load_sweep(sweep_dir)
    write_curves(sweep, sweep.runs, [PSNR], tmp_path / "psnr")
    with Image.open(tmp_path / "psnr.png") as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00), (0x11, 0x77, 0x33)):
        assert (pixels == colour).all(axis=1).sum() > 1000
    words = content_of(tmp_path / "psnr.pdf")
    assert words.count(b"1 0 0 rg") == 0  # nothing falls back to a default colour
    assert (tmp_path / "psnr.pdf").stat().st_size < 100_000


def test_no_display_and_no_pyplot_is_asked_for():
    code = "import sys, dashboards.pictures.figures; print('matplotlib.pyplot' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
