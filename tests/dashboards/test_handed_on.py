"""What a page tells of the machine that wrote it: nothing."""

import json
import re
from functools import partial

import pytest
from looks_folder import write_histograms, write_looks
from made_up_search import write_search
from sweep_folder import trial_rows, write_sweep, write_table
from volumes_folder import write_volumes

from dashboards.load import load_sweep
from dashboards.markup import html_table, note, shortened
from dashboards.page import render


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[Errno 2] No such file: '/data/ann lee/heads/p01.nii.gz'", "[Errno 2] No such file: "
         "'p01.nii.gz'"),
        ("/data/ann/p01: 3 slices (/data/ann/p02)", "p01: 3 slices (p02)"),
        ("at file:///data/ann/x, snapshot:/data/ann/y", "at x, snapshot:y"),
        ("180 HU/mm, demo/looks, ../x/y, 1 / 2", "180 HU/mm, demo/looks, ../x/y, 1 / 2"),
        ("https://host/a/b and models:/pct-mr/3", "https://host/a/b and models:/pct-mr/3"),
    ],
)  # fmt: skip
def test_of_an_absolute_path_the_last_part_is_told_and_nothing_else_changes(text, told):
    assert shortened(text) == told


def test_tables_and_notes_tell_no_path():
    html = html_table(["trial"], [["/data/ann/a", "lost /data/ann/b"]]) + note("in /data/ann/c")
    assert re.findall(r">([^<]+)<", html) == ["trial", "a", "lost b", "in c"]


def test_a_page_names_no_folder_of_its_machine(tmp_path):
    folder = tmp_path / "data" / "ann" / "demo"
    folder.parent.mkdir(parents=True)
    write_sweep(folder)
    write_search(folder, num_points=9)
    rows = trial_rows()
    rows[0] |= {"status": "FAILED", "reason": "[Errno 2] No such file: '/data/ann/heads/p01.npz'"}
    write_table(folder, "trials.parquet", rows)
    settings = {"init": {"model": "/data/ann/my models/exp1@s1"}, "seed": 1}
    (folder / "recipe.yaml").write_text(json.dumps({"trials": {"never": settings}}))
    refused = {"subject": "q1", "split": None, "status": "refused",
               "reason": "/data/ann/q1: no CT"}  # fmt: skip
    write_table(folder, "cases.parquet", [refused])
    (folder / "study.db").write_text("no database")
    html = render(load_sweep(folder))
    assert "data/ann" not in html
    assert "my models" not in html
    for told in ("No such file: &#x27;p01.npz&#x27;", "<td>exp1@s1</td>", "<td>q1: no CT</td>",
                 "study.db: damaged", "more in demo/panels"):  # fmt: skip
        assert told in html


WRITERS = {
    "volumes": write_volumes,
    "looks": write_looks,
    "histograms": write_histograms,
    "points.parquet": partial(write_search, num_points=3),
}


@pytest.mark.parametrize(
    ("file", "heading"),
    [
        ("volumes/p01_ct.nii.gz", "Renders"),
        ("looks/never/best.npz", "Error maps"),
        ("looks/cases.npz", "Slices by epoch"),
        ("histograms/never.parquet", "Errors by tissue"),
        ("points.parquet", "Search"),
    ],
)
def test_a_damaged_file_costs_its_section_and_the_rest_of_the_page_is_written(
    sweep_dir, file, heading
):
    WRITERS[file.partition("/")[0]](sweep_dir)
    path = sweep_dir / file
    path.write_bytes(path.read_bytes()[:60])
    html = render(load_sweep(sweep_dir))
    section = html.split(f"<h2>{heading}</h2>")[1].split("</section>")[0]
    assert section.count("<p") == 1
    assert f"a file of it cannot be read. {file}" in section
    assert "pickle" not in section
    assert "<h2>Data and versions</h2>" in html


def test_volumes_are_shown_where_no_slices_were_kept_and_panels_in_their_place(sweep_dir):
    write_volumes(sweep_dir, {"never": -700.0})
    write_histograms(sweep_dir)
    html = render(load_sweep(sweep_dir))
    found = re.findall(r"<h2>(.*?)</h2>", html)
    for heading in ("Panels", "Errors by tissue", "Contact plate", "Renders", "3D viewer"):
        assert heading in found
    assert "Slices by epoch" not in found


def test_no_form_and_no_base_of_the_page_leads_elsewhere(sweep_dir):
    html = render(load_sweep(sweep_dir))
    assert "base-uri 'none'; form-action 'none'" in html
