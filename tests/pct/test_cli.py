"""The command: what it prints, and its exit codes."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from data_prep.phantom import make_head
from data_prep.schema import SliceGrid
from data_prep.volume import Grid, load_nifti, resample, save_nifti
from pct.__main__ import BAD_INPUT, INTERRUPTED, main
from pct.model import save_model
from pct.networks import Generator
from pct.score import LEDGER
from tests.pct.identity import CARD
from tests.tiny import tiny_run


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    torch.manual_seed(0)
    run = tiny_run()
    folder = tmp_path_factory.mktemp("models") / "exp1"
    weights = Generator(run.generator).state_dict()
    save_model(folder, weights, run=run, grid=SliceGrid("resize", 32, 8.0, 12.0), card=CARD)
    return str(folder)


@pytest.fixture(scope="module")
def mr(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("mr") / "mr.nii.gz"
    save_nifti(make_head(7, size=64, num_slices=16, spacing_mm=(4.0, 4.0, 12.0)).mr, path)
    return str(path)


def test_show_prints_the_resolved_run_and_the_size_of_its_networks(capsys):
    assert main(["show", "thesis_exp1", "lambda_ngf=7", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["schedule"]["lambda_ngf"] == 7
    assert shown["batch"] == 14
    assert shown["discriminator_parameters"] == 22_048_514
    assert shown["generator_macs"] == 43_357_110_272
    assert shown["geometry"] == "native_tiles"
    assert main(["show", "smoke"]) == 0
    out = capsys.readouterr().out
    assert "epochs                   2" in out
    assert "  generator              13,641 parameters, 0.00709 GMAC" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show", "smok"], "no preset 'smok': did you mean smoke?"),
        (["show", "smoke", "epohcs=3"], "epohcs: no such setting: did you mean epochs?"),
        (["show", "smoke", "epochs"], "expected key=value"),
        (["show", "smoke", "max_parameters=9"], "24,706 parameters (generator 13,641, discrim"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(capsys, words, message):
    assert main(words) == BAD_INPUT == 2
    caught = capsys.readouterr()
    assert message in caught.err
    assert caught.err.startswith("pct: ")
    assert "Traceback" not in caught.err
    assert caught.out == ""


def test_every_verb_has_help_and_an_unknown_one_is_exit_code_2(capsys):
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out
    for verb in ("show", "predict", "score", "plan", "sweep", "promote", "prep"):
        assert verb in listed
        assert main([verb, "--help"]) == 0
    assert main(["swep"]) == 2


def test_an_interruption_says_how_to_go_on(capsys, monkeypatch):
    def interrupt(_name):
        raise KeyboardInterrupt

    monkeypatch.setattr("pct.cli.load_preset", interrupt)
    assert main(["show", "smoke"]) == INTERRUPTED == 130
    assert "run the same command again to go on" in capsys.readouterr().err


def test_predict_writes_a_pseudo_ct_on_the_mrs_grid(tmp_path, capsys, model, mr):
    to = tmp_path / "new" / "pct.nii.gz"
    assert main(["predict", model, "--mr", mr, "--to", str(to)]) == 0
    pct, source = load_nifti(to), load_nifti(mr)
    assert pct.array.shape == source.array.shape
    assert pct.array.dtype == np.int16
    np.testing.assert_allclose(pct.affine, source.affine)
    assert "exp1@6: pseudo-CT 64x64x16" in capsys.readouterr().out
    assert [path.name for path in to.parent.iterdir()] == ["pct.nii.gz"]


def test_predict_on_another_grid_in_another_way_than_the_models(tmp_path, model, mr):
    """Background and geometry of the call stand over those of the model."""
    source, written = load_nifti(mr), {}
    coarse = resample(source, Grid((32, 32, 16), source.affine @ np.diag([2.0, 2.0, 1.0, 1.0])))
    save_nifti(coarse, tmp_path / "ct.nii")
    for name, words in {
        "plain": [],
        "air": ["--background", "air"],
        "tiles": ["--geometry", "native_tiles"],
    }.items():
        to = str(tmp_path / f"{name}.nii")
        call = ["predict", model, "--mr", mr, "--to", to, "--onto", str(tmp_path / "ct.nii")]
        assert main([*call, "--device", "cpu", *words]) == 0
        written[name] = load_nifti(tmp_path / f"{name}.nii")
        assert written[name].array.shape == (32, 32, 16)
        np.testing.assert_allclose(written[name].affine, coarse.affine)
    plain, air, tiles = (written[name].array for name in ("plain", "air", "tiles"))
    assert (air[plain != air] == -1000).all()
    assert (air == -1000).mean() > (plain == -1000).mean() + 0.2
    assert (plain != tiles).mean() > 0.5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"--device": "cuda:99"}, "device 'cuda:99': "),
        ({"--device": "gpu"}, "Take cpu or auto."),
        ({"--onto": "ct.nii"}, "ct.nii: no such file."),
        ({"--mr": "missing.nii"}, "missing.nii: no such file."),
        ({"--mr": "."}, "is a folder. Convert its series first: pct inspect"),
        ({"--to": "pct.dcm"}, "expected a name that ends in .nii or .nii.gz"),
        ({"model": "nowhere"}, "nowhere: no such model folder"),
    ],
)
def test_predict_refuses_what_it_cannot_use(capsys, tmp_path, model, mr, words, message):
    given = {"model": model, "--mr": mr, "--to": str(tmp_path / "pct.nii"), **words}
    address = given.pop("model")
    assert main(["predict", address, *(word for pair in given.items() for word in pair)]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_score_prints_the_cohort_and_keeps_the_rows(capsys, tmp_path, model, phantom_data):
    to = tmp_path / "scores.parquet"
    call = ["score", model, "--data", str(phantom_data), "--to", str(to)]
    assert main([*call, "--json"]) == 0
    cohort = json.loads(capsys.readouterr().out)
    assert {row["metric"] for row in cohort} >= {"ssim_masked", "mae_head"}
    assert {
        (row["trial"], row["split"], row["n"]) for row in cohort if row["metric"] == "ssim"
    } == {("exp1@6", "val", 1)}
    rows = pd.read_parquet(to)
    assert main(call) == 0
    assert "mae_head, HU" in capsys.readouterr().out
    assert len(pd.read_parquet(to)) == len(rows)
    assert not (phantom_data / LEDGER).exists()


def test_the_test_set_is_opened_once_a_model_unless_asked_again(
    capsys, tmp_path, model, phantom_data
):
    data = shutil.copytree(phantom_data, tmp_path / "data")
    call = [
        "score",
        model,
        "--data",
        str(data),
        "--split",
        "test",
        "--to",
        str(tmp_path / "scores.parquet"),
    ]
    assert main(call) == 0
    assert len(pd.read_parquet(data / LEDGER)) == 1
    capsys.readouterr()
    assert main(call) == 0
    assert "exp1@6: scored on the test set on 20" in capsys.readouterr().out
    assert len(pd.read_parquet(data / LEDGER)) == 1
    assert main([*call, "--again"]) == 0
    assert len(pd.read_parquet(data / LEDGER)) == 2


def test_scores_that_were_lost_are_scored_anew_and_that_is_recorded(tmp_path, model, phantom_data):
    data, to = shutil.copytree(phantom_data, tmp_path / "data"), tmp_path / "scores.parquet"
    call = ["score", model, "--data", str(data), "--split", "test", "--to", str(to)]
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
