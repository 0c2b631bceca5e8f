"""A promoted folder as MLflow sees it: two flavours, and nothing in it that is unpickled."""

import re
import socket
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from ruamel.yaml import YAML

import sweeps.promotion.flavours as flavours
from data_prep.phantom import make_head
from data_prep.schema import SliceGrid
from data_prep.volume import load_nifti, save_nifti
from pct.model import load_model, save_model
from pct.networks import Generator
from pct.prediction.volume import predict_volume
from sweeps.promotion.flavours import add_flavours, requirements
from tests.pct.identity import CARD
from tests.tiny import tiny_run

GRID = SliceGrid("resize", 32, 8.0, 12.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return made(tmp_path_factory.mktemp("flavours") / "model")


def made(folder: Path) -> Path:
    plain(folder)
    add_flavours(folder)
    return folder


def plain(folder: Path) -> Path:
    torch.manual_seed(3)
    run = tiny_run()
    generator = Generator(run.generator)
    generator(torch.rand(4, 1, 32, 32))
    save_model(folder, generator.state_dict(), run=run, grid=GRID, card=CARD)
    return folder


@pytest.fixture
def no_pickle(monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")


@pytest.fixture(scope="module")
def registered(folder, tmp_path_factory):
    """A registry whose champion is the folder; its URI."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('registry') / 'mlflow.db'}"
    client = MlflowClient(uri)
    client.create_registered_model("pct")
    made = client.create_model_version("pct", source=str(folder))
    client.set_registered_model_alias("pct", "champion", made.version)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        yield "models:/pct@champion"


def head(folder: Path) -> Path:
    """An MR whose voxels run to the left, to the front and up."""
    mr = make_head(5, size=64, num_slices=16, spacing_mm=(4.0, 4.0, 12.0)).mr
    affine = mr.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (mr.array.shape[0] - 1)
    affine[:3, 0] *= -1
    save_nifti(type(mr)(mr.array[::-1].copy(), affine), folder / "mr.nii.gz")
    return folder / "mr.nii.gz"


def test_the_folder_holds_what_it_promises(folder):
    assert {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} == {
        "MLmodel", "conda.yaml", "data/model.pt2", "generator.safetensors", "model.json",
        "model_card.md", "python_env.yaml", "requirements.txt",
    }  # fmt: skip
    told = YAML(typ="safe").load(folder / "MLmodel")
    assert set(told["flavors"]) == {"python_function", "pytorch"}
    assert told["metadata"]["trial"] == "exp1@6"
    assert told["metadata"]["weights_digest"] == load_model(folder).digest
    assert str(folder.parent) not in "".join(
        p.read_text() for p in folder.iterdir() if p.suffix in (".json", ".md", ".txt", ".yaml")
    )


def test_the_champion_makes_the_pseudo_ct_that_pct_predict_makes(
    registered, folder, tmp_path, no_pickle
):
    path = head(tmp_path)
    expected = predict_volume(load_model(folder), load_nifti(path)).array
    found = mlflow.pyfunc.load_model(registered, suppress_warnings=True).predict(str(path))
    assert found.dtype == np.int16
    assert np.ptp(expected) > 100, "there is something to compare"
    assert np.array_equal(found, expected)


def test_the_champion_as_a_pytorch_model_is_the_slice_network(registered, folder, no_pickle):
    mr = torch.rand(5, 1, 64, 80) * 2 - 1
    network = mlflow.pytorch.load_model(registered)
    with torch.no_grad():
        assert torch.equal(network(mr), load_model(folder).generator(mr))


def test_a_folder_is_loaded_by_its_path_too_without_warnings_or_the_network(
    folder, monkeypatch, capsys, no_pickle
):
    def closed(*_):
        pytest.fail("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", closed)
    found = mlflow.pyfunc.load_model(str(folder)).predict(np.zeros((3, 1, 16, 24), np.float32))
    assert found.shape == (3, 1, 16, 24)
    assert capsys.readouterr() == ("", "")


def test_a_program_with_a_pickle_in_it_is_refused_where_pickles_are(tmp_path, no_pickle):
    """What our own programs pass, so that passing means something."""
    folder = made(tmp_path / "model")
    torch.save({"net": Generator(tiny_run().generator)}, folder / "data" / "model.pt2")
    with pytest.raises(MlflowException, match="pickle"):
        mlflow.pytorch.load_model(str(folder))


def test_requirements_are_those_declared_at_the_versions_here(folder):
    pins = requirements()
    assert f"torch=={version('torch').partition('+')[0]}" in pins
    assert f"mlflow=={version('mlflow')}" in pins
    assert f"ray[default,train,tune]=={version('ray')}" in [
        re.sub(r"\[(.*)\]", lambda m: f"[{','.join(sorted(m[1].split(',')))}]", pin) for pin in pins
    ]
    assert not {pin for pin in pins if re.match("pytest|ruff|psycopg|totalseg|pct", pin)}
    lines = (folder / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == pins
    assert lines[0].endswith("itself is not on PyPI: install it from its source.")
    assert YAML(typ="safe").load(folder / "conda.yaml")["dependencies"][-1] == {"pip": pins}


@pytest.mark.parametrize("step", ["write_card", "export_generator", "_write", "_write_yaml"])
def test_a_folder_that_a_failure_left_half_made_is_no_mlflow_model_and_is_made_whole_later(
    tmp_path, monkeypatch, step
):
    folder = plain(tmp_path / "model")

    def fails(*_):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(flavours, step, fails)
        with pytest.raises(OSError, match="no space"):
            add_flavours(folder)
    assert not (folder / "MLmodel").exists()
    assert load_model(folder), "and still a model folder"
    assert not list(folder.rglob(".*")), "nothing half-written is left"
    add_flavours(folder)
    assert mlflow.pyfunc.load_model(str(folder), suppress_warnings=True)
