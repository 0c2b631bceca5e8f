import pytest
from sweep_folder import trial_row, write_table

from dashboards.families import families, family_of, trial_colours
from dashboards.load import load_sweep
from sweeps.palette import PALETTE


@pytest.mark.parametrize(
    ("trial", "family"),
    [
        ("exp1", "exp1"), ("exp3.keep", "exp3"), ("exp3.drop@s2", "exp3"), ("exp1@s1@40", "exp1"),
        ("p07-released-switch4.keep", "p07"), ("p07x.a", "p07x"),
    ],
)  # fmt: skip
def test_a_leaf_belongs_to_its_trial_of_the_recipe_or_to_its_point(trial, family):
    assert family_of(trial) == family


def test_few_runs_have_a_colour_each_and_many_one_a_family(sweep_dir):
    assert [each.name for each in families(load_sweep(sweep_dir))] == [
        "never", "exp.keep = always", "exp.drop",
    ]  # fmt: skip
    names = [f"e{number}.{branch}" for number in range(5) for branch in ("a", "b")]
    write_table(sweep_dir, "trials.parquet", [trial_row(name, []) for name in names])
    sweep = load_sweep(sweep_dir)
    assert [each.name for each in families(sweep)] == ["e0", "e1", "e2", "e3", "e4"]
    colours = trial_colours(sweep)
    assert colours["e1.a"] == colours["e1.b"] == PALETTE[1]


def test_many_branches_of_one_trial_are_not_all_of_one_colour(sweep_dir):
    rows = [trial_row(f"e.b{number}", []) for number in range(12)]
    write_table(sweep_dir, "trials.parquet", rows)
    assert set(trial_colours(load_sweep(sweep_dir)).values()) == set(PALETTE)
