"""The command: what it prints, and its exit codes."""

import json

import numpy as np
import pytest
import torch

from data_prep.phantom import make_head
from data_prep.schema import SliceGrid
from data_prep.volume import Grid, load_nifti, resample, save_nifti
from pct.__main__ import BAD_INPUT, INTERRUPTED, main
from pct.model import save_model
from pct.networks import Generator
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


@pytest.mark.parametrize("verb", ["phantom", "prep"])
def test_a_place_that_cannot_be_written_is_bad_input_and_no_traceback(verb, mr, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    (tmp_path / "pairs.csv").write_text(f"subject,mr,ct\na,{mr},{mr}\nb,{mr},{mr}\nc,{mr},{mr}\n")
    words = {"phantom": ["--cases", "1"], "prep": ["nifti", "--from", str(tmp_path / "pairs.csv")]}
    assert main([verb, *words[verb], "--to", str(tmp_path / "file" / "data")]) == BAD_INPUT
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith(f"pct: {tmp_path / 'file'}")
    assert told.endswith(": Not a directory. Name a place that can be written, or make room there.")


@pytest.mark.parametrize(
    "words",
    [
        ["prep", "synthrad", "--from", "here", "--to", "there", "--workers", "-1"],
        ["phantom", "--to", "there", "--cases", "0"],
    ],
)
def test_a_number_that_makes_no_sense_is_refused_by_its_name(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words) == BAD_INPUT
    assert f"Invalid value for '{words[-2]}'" in capsys.readouterr().err
    assert not (tmp_path / "there").exists()


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
    assert {path.name for path in to.parent.iterdir()} == {
        "pct.nii.gz", "pct.qc.json", "pct.qc.png"
    }  # fmt: skip


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
        ({"--mr": "."}, "patients. Name a folder."),
        ({"--mr": "pyproject.toml"}, "not the file of a volume. Expected .nii.gz, .nii, .mha"),
        ({"--series": "T1"}, "is no DICOM. Leave it out."),
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
