import hashlib

import pytest
from cells import cells
from made_up_search import write_search

from dashboards.load import NoSweep, load_sweep
from dashboards.search.points import read_points, study_facts
from dashboards.search.section import front_figure, search_html, slice_figure


@pytest.fixture
def searched(sweep_dir):
    write_search(sweep_dir, num_points=24)
    sweep = load_sweep(sweep_dir)
    return sweep, read_points(sweep)


def test_the_front_is_what_the_sweep_wrote_and_the_rest_is_told_apart(searched):
    _, points = searched
    beyond, within, front = front_figure(points).data
    on_front = points.table.loc[points.table["on_front"], "point"].tolist()
    assert [text.split(":")[0] for text in front.text] == [f"point {n}" for n in on_front]
    assert [text.split(":")[0] for text in beyond.text] == ["point 23"]
    assert len(within.x) == 24 - 1 - len(on_front)


def test_importances_find_the_dimension_that_matters_for_every_aim(searched):
    sweep, points = searched
    facts = study_facts(sweep, points)
    assert list(facts.importances) == ["val3d/mae_head", "val3d/ssim"]
    for shares in facts.importances.values():
        assert sum(shares.values()) == pytest.approx(1)
        assert shares["$ngf"] > 2 * shares["$bg"]
    assert facts.logarithmic == {"$ngf"}


def test_slices_have_the_scale_that_was_searched(searched):
    _, points = searched
    for name, is_log, kind in (("$ngf", True, "log"), ("$bg", False, "linear")):
        figure = slice_figure(points, "val3d/ssim", name, is_log=is_log)
        assert figure.layout.xaxis.type == kind
        assert len(figure.data[0].x) == 24


def test_few_points_have_no_importances_but_a_line_on_why(sweep_dir):
    write_search(sweep_dir, num_points=7)
    html = search_html(load_sweep(sweep_dir))
    assert "No importances: 7 of the 8 complete points that importances need." in html


def test_every_point_has_its_row(searched):
    head, *rows = cells(search_html(searched[0]))
    assert head[:4] == ["point", "state", "front", "within bounds"]
    assert len(rows) == 24
    assert rows[-1][3] == "no"
    assert rows[-1][-1] == "val3d/mr_leak 0.3 is above 0.2"


def test_the_study_is_read_and_not_touched(searched):
    sweep, points = searched
    before = hashlib.sha256((sweep.folder / "study.db").read_bytes()).hexdigest()
    study_facts(sweep, points)
    assert hashlib.sha256((sweep.folder / "study.db").read_bytes()).hexdigest() == before
    assert not list(sweep.folder.glob("study.db-*"))


def test_a_study_that_is_missing_or_damaged_does_not_stop_the_report(searched):
    sweep, points = searched
    path = sweep.folder / "study.db"
    path.write_text("no database")
    why = study_facts(sweep, points).why_not
    assert why.startswith("study.db: damaged or no study")
    path.unlink()
    assert study_facts(sweep, points).why_not == "study.db is missing."
    assert "<h3>Points</h3>" in search_html(sweep)


def test_a_damaged_table_of_points_is_named(searched):
    sweep, _ = searched
    (sweep.folder / "points.parquet").write_text("{")
    with pytest.raises(NoSweep, match=r"points\.parquet cannot be used"):
        read_points(sweep)


def test_a_sweep_without_a_search_has_no_such_section(sweep_dir):
    assert search_html(load_sweep(sweep_dir)) == ""
