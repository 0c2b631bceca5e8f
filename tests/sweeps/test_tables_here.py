"""What `pct sweep` prints of its trials' scores."""

import pandas as pd

from sweeps.cli import _print_scores
from tests.pct.test_cohort import scores


def test_trials_that_predict_in_two_ways_stand_in_two_tables(tmp_path, capsys):
    one = scores(mae_head=[10.0, 20.0])
    other = one.assign(trial="exp2", geometry="native_tiles", value=one["value"] + 5)
    pd.concat([one, other]).to_parquet(tmp_path / "scores.parquet")
    _print_scores(tmp_path)
    out = capsys.readouterr().out
    first, second = out.index("geometry native_tiles"), out.index("geometry train")
    assert first < out.index("20.0 ± 7.1") < second < out.index("15.0 ± 7.1")


def test_trials_that_predict_in_one_way_stand_in_one_table_without_a_title(tmp_path, capsys):
    scores(mae_head=[10.0, 20.0]).to_parquet(tmp_path / "scores.parquet")
    _print_scores(tmp_path)
    out = capsys.readouterr().out
    assert "15.0 ± 7.1" in out
    assert "geometry" not in out
