import numpy as np
import pandas as pd
import pytest
from looks_folder import histogram_rows, write_histograms

from dashboards.markup import UNKNOWN
from dashboards.pictures.looks import BadLooks
from dashboards.pictures.tissue import histogram, read_histograms
from dashboards.pictures.tissue_plots import error_figure, hu_figure, tissue_table


def table(**errors):
    rows = [row for tissue, values in errors.items()
            for row in histogram_rows("p01", tissue, "error_hu", np.array(values))]  # fmt: skip
    return pd.DataFrame(rows)


def test_shares_are_by_tissue_over_all_cases_and_sum_to_one():
    rows = histogram_rows("p01", "bone", "error_hu", np.array([5.0, 5.0, 45.0]))
    rows += histogram_rows("p02", "bone", "error_hu", np.array([45.0]))
    rows += histogram_rows("p02", "soft", "error_hu", np.array([500.0]))
    found = histogram(pd.DataFrame(rows), "error_hu", tissue="bone")
    assert found.voxels == 4
    assert found.middle.tolist() == [-10, 10, 30, 50, 70]
    assert found.share.tolist() == [0, 0.5, 0, 0.5, 0]
    assert histogram(pd.DataFrame(rows), "error_hu", tissue="air") is None
    full = [row for row in rows if row["voxels"]]
    assert histogram(pd.DataFrame(full), "error_hu", tissue="bone").share.tolist() == [
        0, 0.5, 0, 0.5, 0,
    ]  # fmt: skip


def test_the_whole_head_is_all_tissues_together():
    found = histogram(table(air=[-100.0], soft=[0.0], bone=[0.0, 10.0]), "error_hu", tissue=None)
    assert found.voxels == 4
    assert found.share.max() == 0.75


def test_mean_and_mae_come_from_the_middles_of_bins():
    found = histogram(table(bone=[-31.0, 9.0]), "error_hu", tissue="bone")
    assert (found.mean, found.mean_absolute) == (-10.0, 20.0)


def test_a_trial_without_histograms_has_none_and_a_damaged_file_is_named(tmp_path):
    write_histograms(tmp_path, trials=["never"])
    assert read_histograms(tmp_path, "exp.keep") is None
    assert set(read_histograms(tmp_path, "never")["tissue"]) == {"air", "soft", "bone"}
    (tmp_path / "histograms/never.parquet").write_text("gone")
    with pytest.raises(BadLooks, match=r"never\.parquet cannot be used.*Move it away"):
        read_histograms(tmp_path, "never")
    pd.DataFrame({"case": ["p01"]}).to_parquet(tmp_path / "histograms/never.parquet")
    with pytest.raises(BadLooks, match=r"Expected columns case, tissue, quantity"):
        read_histograms(tmp_path, "never")


def test_each_run_is_a_line_of_its_colour_in_each_tissues_panel():
    tables = {"keep": table(soft=[0.0], bone=[10.0]), "drop": table(soft=[30.0])}
    figure = error_figure(tables, colours={"keep": "#111111", "drop": "#222222"})
    drawn = [(trace.name, trace.line.color, trace.yaxis, max(trace.y)) for trace in figure.data]
    assert drawn == [
        ("keep", "#111111", "y2", 100), ("drop", "#222222", "y2", 100),
        ("keep", "#111111", "y3", 100),
    ]  # fmt: skip
    assert [trace.showlegend for trace in figure.data] == [True, True, False]


def test_the_ct_is_drawn_once_beside_every_pseudo_ct(tmp_path):
    write_histograms(tmp_path)
    tables = {name: read_histograms(tmp_path, name) for name in ("never", "exp.drop")}
    figure = hu_figure(tables, colours=dict.fromkeys(tables, "#111111"))
    assert [trace.name for trace in figure.data] == ["CT", "never", "exp.drop"]
    assert 0 not in figure.data[0].y  # a logarithm has no place for it
    assert figure.layout.yaxis.type == "log"


def test_the_table_tells_mean_and_mae_by_tissue():
    html = tissue_table({"keep": table(soft=[-31.0, 9.0], bone=[10.0])})
    cells = html.split("<tbody>")[1].replace("</td>", "").split("<td>")[1:]
    assert cells[:6] == [UNKNOWN, UNKNOWN, "\N{MINUS SIGN}10", "20", "+10", "10"]
    assert cells[6].startswith("3<")
