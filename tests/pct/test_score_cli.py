"""The verbs `score` and `claim`: what they print, keep, record and refuse."""

import json
import shutil

import pandas as pd
import pytest
import torch

from data_prep.schema import SliceGrid
from data_prep.shards import list_cases, read_volumes
from data_prep.volume import save_nifti
from pct.__main__ import main
from pct.model import save_model
from pct.networks import Generator
from pct.scoring.ledger import LEDGER
from tests.pct.identity import CARD
from tests.pct.test_settings import sweep
from tests.tiny import tiny_run


def make_model(folder, *, seed: int, trial: str) -> str:
    torch.manual_seed(seed)
    run = tiny_run()
    save_model(
        folder, Generator(run.generator).state_dict(), run=run,
        grid=SliceGrid("resize", 32, 8.0, 12.0), card={**CARD, "trial": trial},
    )  # fmt: skip
    return str(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return make_model(tmp_path_factory.mktemp("models") / "exp1", seed=0, trial="exp1")


@pytest.fixture(scope="module")
def pseudo_cts(tmp_path_factory, phantom_data):
    """The CTs themselves, as if a program had made them."""
    folder = tmp_path_factory.mktemp("nnsyn")
    for split in ("val", "test"):
        for case in list_cases(phantom_data, split):
            save_nifti(read_volumes(phantom_data, case).ct, folder / f"{case}.nii.gz")
    return folder


def words(*models, data, to, **options):
    named = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return ["score", *map(str, models), "--data", str(data), "--to", str(to), *named]


def test_score_prints_the_cohort_and_keeps_the_rows(capsys, tmp_path, model, phantom_data):
    to = tmp_path / "scores.parquet"
    call = words(model, data=phantom_data, to=to)
    assert main([*call, "--json"]) == 0
    (cohort,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert {row["metric"] for row in cohort} >= {"ssim_masked", "mae_head"}
    assert {
        (row["trial"], row["split"], row["n"], row["of"])
        for row in cohort if row["metric"] == "ssim"
    } == {("exp1@6", "val", 1, 1)}  # fmt: skip
    rows = pd.read_parquet(to)
    assert main(call) == 0
    told = capsys.readouterr()
    assert "mae_head, HU" in told.out
    assert "95 % CI of the mean" in told.out
    assert "B - A" not in told.out
    assert f"exp1@6: 1 val cases -> {to}" in told.err
    assert len(pd.read_parquet(to)) == len(rows)
    assert not (phantom_data / LEDGER).exists()


def test_several_models_are_compared_case_by_case(capsys, tmp_path, model, phantom_data):
    other, to = make_model(tmp_path / "exp2", seed=1, trial="exp2"), tmp_path / "scores.parquet"
    call = words(model, other, data=phantom_data, to=to)
    assert main([*call, "--json"]) == 0
    cohort, gaps = map(json.loads, capsys.readouterr().out.splitlines())
    mean = {row["trial"]: row["mean"] for row in cohort if row["metric"] == "mae_head"}
    (gap,) = (row for row in gaps if row["metric"] == "mae_head")
    assert (gap["a"], gap["b"], gap["n"]) == ("exp1@6", "exp2@6", 1)
    assert gap["difference"] == pytest.approx(mean["exp2@6"] - mean["exp1@6"])
    assert main(call) == 0
    out = capsys.readouterr().out
    assert "exp2@6 - exp1@6" in out
    assert "of two weight files and not of two settings" in out
    assert set(pd.read_parquet(to)["trial"]) == {"exp1@6", "exp2@6"}


def test_models_of_one_trial_are_told_apart_by_their_folders(capsys, tmp_path, model, phantom_data):
    twin, to = make_model(tmp_path / "twin", seed=1, trial="exp1"), tmp_path / "scores.parquet"
    assert main(words(model, twin, data=phantom_data, to=to)) == 0
    assert set(pd.read_parquet(to)["trial"]) == {model, twin}
    assert main(words(model, model, data=phantom_data, to=to)) == 2
    assert "named twice. Name each once" in capsys.readouterr().err


def test_anybodys_pseudo_cts_stand_in_the_same_tables(
    capsys, tmp_path, model, pseudo_cts, phantom_data
):
    to = tmp_path / "scores.parquet"
    assert main(words(model, data=phantom_data, to=to, pred=pseudo_cts, name="nnsyn")) == 0
    out = capsys.readouterr().out
    assert "nnsyn - exp1@6" in out
    rows = pd.read_parquet(to)
    ours, theirs = (set(rows["metric"][rows["trial"] == name]) for name in ("exp1@6", "nnsyn"))
    assert ours == theirs
    nnsyn = rows[rows["trial"] == "nnsyn"].set_index("metric")["value"]
    assert nnsyn["mae_head"] == 0
    assert rows.notna().all(axis=None)


def test_a_missing_case_is_exit_code_3_where_others_were_scored(
    capsys, tmp_path, pseudo_cts, phantom_data, monkeypatch
):
    both = [*list_cases(phantom_data, "val"), *list_cases(phantom_data, "test")]
    for module in ("pct.scoring.score_files", "pct.scoring.entrants"):
        monkeypatch.setattr(f"{module}.list_cases", lambda data, split: both)
    mine = shutil.copytree(pseudo_cts, tmp_path / "mine")
    (mine / f"{both[1]}.nii.gz").rename(mine / "somebody.nii.gz")
    call = words(data=phantom_data, to=tmp_path / "scores.parquet", pred=mine, name="nnsyn")
    assert main(call) == 3
    told = capsys.readouterr()
    assert f"nnsyn: {both[1]}: no pseudo-CT in the folder." in told.err
    assert "nnsyn: not cases of the data, passed over: somebody." in told.err
    assert "1 of 2" in told.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing to score. Give a model folder, or --pred DIR --name NAME."),
        ({"pred": "."}, "--pred DIR and --name NAME go together"),
        ({"name": "nnsyn"}, "--pred DIR and --name NAME go together"),
        ({"pred": "nowhere", "name": "nnsyn"}, "nowhere: no such folder"),
    ],
)
def test_what_cannot_be_scored_is_exit_code_2(capsys, tmp_path, phantom_data, options, message):
    to = tmp_path / "scores.parquet"
    assert main(words(data=phantom_data, to=to, **options)) == 2
    assert message in capsys.readouterr().err
    assert not to.exists()


def test_the_test_set_is_opened_once_a_model_unless_asked_again(
    capsys, tmp_path, model, pseudo_cts, phantom_data
):
    data, to = shutil.copytree(phantom_data, tmp_path / "data"), tmp_path / "scores.parquet"
    call = words(model, data=data, to=to, split="test", pred=pseudo_cts, name="nnsyn")
    assert main(call) == 0
    assert pd.read_parquet(data / LEDGER)["model"].tolist() == ["exp1@6", "nnsyn"]
    first = capsys.readouterr().out
    assert main(call) == 0
    out = capsys.readouterr().out
    for name in ("exp1@6", "nnsyn"):
        assert f"{name}: scored on the test set on 20" in out
    assert out.endswith(first), "the scores that are there already are shown"
    assert len(pd.read_parquet(data / LEDGER)) == 2
    assert main([*call, "--again"]) == 0
    assert len(pd.read_parquet(data / LEDGER)) == 4


def test_test_scores_of_another_model_of_that_name_are_not_taken_for_its_own(
    capsys, tmp_path, model, phantom_data
):
    data, to = shutil.copytree(phantom_data, tmp_path / "data"), tmp_path / "scores.parquet"
    other = make_model(tmp_path / "elsewhere", seed=1, trial="exp1")
    answers = []
    for each in (model, other, model):
        assert main([*words(each, data=data, to=to, split="test"), "--json"]) == 0
        (cohort,) = map(json.loads, capsys.readouterr().out.splitlines())
        answers.append({row["metric"]: row["mean"] for row in cohort}["mae_head"])
    assert answers[0] == answers[2] != answers[1]


def test_scores_that_were_lost_are_scored_anew_and_that_is_recorded(tmp_path, model, phantom_data):
    data, to = shutil.copytree(phantom_data, tmp_path / "data"), tmp_path / "scores.parquet"
    call = words(model, data=data, to=to, split="test")
    to.write_bytes(b"no table")
    assert main(call) == 2
    assert not (data / LEDGER).exists()
    to.unlink()
    assert main(call) == 0
    to.unlink()
    assert main(call) == 0
    assert to.exists()
    assert len(pd.read_parquet(data / LEDGER)) == 2


def test_the_training_set_is_not_scored(capsys, tmp_path, model, phantom_data):
    assert main(["score", model, "--data", str(phantom_data), "--split", "train"]) == 2
    err = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "'train' is not one of 'val', 'test'" in err


def test_a_folder_that_is_no_data_is_exit_code_2(capsys, tmp_path, model):
    assert main(["score", model, "--data", str(tmp_path)]) == 2
    assert "no manifest.json" in capsys.readouterr().err


def claim(*words) -> list[str]:
    return ["claim", *map(str, words)]


def test_a_claim_that_was_declared_is_printed_with_all_that_bears_on_it(capsys, tmp_path):
    sweep().to_parquet(tmp_path / "scores.parquet")
    (tmp_path / "claim.json").write_text('{"a": "exp1", "b": "exp2", "on": "mae_head"}')
    assert main(claim(tmp_path)) == 0
    head, titles, first, second, verdict = capsys.readouterr().out.splitlines()
    assert head == (
        "exp2 (B) against exp1 (A), val split: 3 seeds each (independent), "
        "6 independent patients (each case its own)"
    )
    for title in ("A/A spread", "95 % CI of B - A", "p (Holm)", "detectable", "kind"):
        assert title in titles
    assert first.startswith("mae_head, HU")
    assert first.rstrip().endswith("declared")
    assert second.rstrip().endswith("exploratory")
    assert verdict.startswith("Claim, declared before the run: mae_head is lower by 19.8 HU")


def test_below_three_seeds_the_claim_is_none_and_no_p_is_printed(capsys, tmp_path):
    sweep(seeds=(1, 2)).to_parquet(tmp_path / "scores.parquet")
    call = claim(tmp_path / "scores.parquet", "exp1", "exp2", "--on", "mae_head")
    assert main(call) == 0
    out = capsys.readouterr().out
    assert "No claim: 2 seeds each, 6 independent patients." in out
    assert " p " not in out.splitlines()[1]
    assert "CI" not in out
    assert main([*call, "--json"]) == 0
    first, *_ = json.loads(capsys.readouterr().out)
    assert (first["enough"], first["p"], first["ci_low"], first["p_holm"]) == (False, *[None] * 3)


def test_two_base_heads_are_two_patients_whatever_their_cases(capsys, tmp_path):
    sweep(patients=12).to_parquet(tmp_path / "scores.parquet")
    heads = tmp_path / "cohort.csv"
    rows = [f"case-{i},{'colin' if i % 2 else 'chris'}" for i in range(12)]
    heads.write_text("\n".join(["subject,base", *rows]))
    call = claim(tmp_path, "exp1", "exp2", "--on", "ssim")
    assert main(call) == 0
    assert "Exploratory, not declared before the run: ssim is lower" in capsys.readouterr().out
    assert main([*call, "--patients", str(heads)]) == 0
    out = capsys.readouterr().out
    assert "2 independent patients (by the table of patients)" in out
    assert "No claim: 3 seeds each, 2 independent patients." in out


def test_no_difference_says_which_one_would_have_been_found(capsys, tmp_path):
    sweep(gain=0.0).to_parquet(tmp_path / "scores.parquet")
    assert main(claim(tmp_path, "exp1", "exp2", "--on", "mae_head")) == 0
    out = capsys.readouterr().out
    assert "no difference shown in mae_head (95 % CI -" in out
    assert "would be found in 4 of 5 such studies" in out


def test_a_claim_without_question_or_scores_is_exit_code_2(capsys, tmp_path):
    assert main(claim(tmp_path)) == 2
    assert "no claim was declared there" in capsys.readouterr().err
    assert main(claim(tmp_path, "exp1", "exp2", "--on", "ssim")) == 2
    assert "no scores there" in capsys.readouterr().err


def test_one_model_scored_in_two_ways_has_rows_of_both(tmp_path, model, phantom_data):
    to = tmp_path / "scores.parquet"
    call = words(model, data=phantom_data, to=to)
    assert main(call) == 0
    assert main([*call, "--geometry", "native_tiles"]) == 0
    assert main([*call, "--background", "air", "--device", "cpu"]) == 0
    rows = pd.read_parquet(to)
    ssim = rows[rows["metric"] == "ssim"].set_index(["geometry", "background"])["value"]
    assert set(ssim.index) == {
        ("train", "predicted"), ("native_tiles", "predicted"), ("train", "air")
    }  # fmt: skip
    assert ssim.nunique() == 3
