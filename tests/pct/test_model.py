"""Model folders: out, in, and what is refused."""

import json

import pytest
import torch

from data_prep.schema import SliceGrid
from pct.model import BadModel, find_model, load_model, save_model
from pct.networks import Generator
from tests.pct.identity import CARD
from tests.tiny import tiny_run

GRID = SliceGrid("resize", 32, 8.0, 12.0)


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(3)
    generator = Generator(tiny_run().generator)
    generator(torch.rand(4, 1, 32, 32))  # moves the running statistics of batch norm
    return generator.eval()


@pytest.fixture
def folder(tmp_path, generator):
    run = tiny_run(schedule={"lambda_ngf": {0: 20, 3: 0}})
    save_model(tmp_path / "model", generator.state_dict(), run=run, grid=GRID, card=CARD)
    return tmp_path / "model"


def test_a_model_comes_back_whole(folder, generator):
    model = load_model(folder)
    mr = torch.rand(2, 1, 32, 32)
    assert torch.equal(model.generator(mr), generator(mr))
    assert not model.generator.training
    assert model.run == tiny_run(schedule={"lambda_ngf": {0: 20, 3: 0}})
    assert (model.grid, model.card, model.name) == (GRID, CARD, "exp1@6")


def test_saving_again_replaces_the_folder_and_leaves_nothing_beside_it(folder, generator):
    (folder / "stale.txt").write_text("old")
    save_model(folder, generator.state_dict(), run=tiny_run(), grid=GRID, card={**CARD, "epoch": 9})
    assert sorted(p.name for p in folder.iterdir()) == [
        "generator.safetensors", "model.json", "model_card.md",
    ]  # fmt: skip
    assert [p.name for p in folder.parent.iterdir()] == ["model"]
    assert load_model(folder).name == "exp1@9"


def test_a_folder_that_is_no_model_is_refused_with_what_belongs_there(tmp_path):
    (tmp_path / "generator.safetensors").write_bytes(b"")
    with pytest.raises(BadModel, match=r"no model folder.*model\.json.*as `pct promote` writes"):
        load_model(tmp_path)


@pytest.mark.parametrize("length", [0, 5, 200, -1])
def test_torn_weights_are_refused(folder, length):
    path = folder / "generator.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(BadModel, match=r"no model folder"):
        load_model(folder)


def test_a_model_of_another_format_is_refused(folder):
    content = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**content, "format": 99}))
    with pytest.raises(BadModel, match=r"format 99, this version reads 1. Promote the model anew"):
        load_model(folder)


def test_weights_of_another_network_are_refused(folder):
    content = json.loads((folder / "model.json").read_text())
    content["run"]["generator"]["channels"] = [4, 8, 16]
    (folder / "model.json").write_text(json.dumps(content))
    with pytest.raises(BadModel, match=r"weights do not fit its model.json"):
        load_model(folder)


@pytest.mark.parametrize("torn", ['{"format": 1}', "[1]", '{"format": 1, "run": {"epohcs": 3}}'])
def test_a_card_that_lacks_what_prediction_needs_is_refused(folder, torn):
    (folder / "model.json").write_text(torn)
    with pytest.raises(BadModel, match=r"model\.json"):
        load_model(folder)


def test_an_address_is_a_folder_or_a_known_scheme(folder):
    assert find_model(str(folder)) == folder
    with pytest.raises(
        BadModel, match=r"ftp:/x: no such model folder. Expected a path, .* or models:"
    ):
        find_model("ftp:/x")
    for address in ("nowhere", "me@lab/nowhere"):
        with pytest.raises(BadModel, match=rf"{address}: no such model folder"):
            find_model(address)
