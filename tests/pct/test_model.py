"""Model folders: out, in, and what is refused."""

import io
import json
import os
import pickle
import resource
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from data_prep.schema import SliceGrid
from pct.model import BadModel, find_model, load_model, save_model, weights_digest
from pct.networks import Generator
from pct.scoring.score import entrant_of
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


class Bomb:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def test_weights_that_are_a_pickle_run_no_code(folder, tmp_path):
    target = tmp_path / "ran"
    saved = io.BytesIO()
    torch.save({"weights": Bomb(str(target))}, saved)
    for evil in (pickle.dumps(Bomb(str(target))), saved.getvalue()):
        (folder / "generator.safetensors").write_bytes(evil)
        with pytest.raises(BadModel, match="no model folder"):
            load_model(folder)
        assert not target.exists()
    pickle.loads(pickle.dumps(Bomb(str(target))))
    assert target.exists(), "the bomb is one"


def edit(folder, **changed):
    """Give the folder's model.json other values by dotted name."""
    content = json.loads((folder / "model.json").read_text())
    for name, value in changed.items():
        *sections, last = name.split("__")
        inside = content
        for section in sections:
            inside = inside[section]
        inside[last] = value
    (folder / "model.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    "trial", ["../../outside", "/etc/passwd", "a\\b", "two\nlines", "", 3, None]
)
def test_a_trial_whose_name_is_a_path_is_refused(folder, trial):
    edit(folder, card__trial=trial)
    with pytest.raises(BadModel, match=r"model\.json: .*is no name of a trial\). Promote"):
        load_model(folder)


def test_a_path_that_model_json_names_is_not_opened(folder, tmp_path):
    edit(folder, run__init={"model": str(tmp_path / "nowhere"), "digest": "00"})
    assert load_model(folder).run.init.model == str(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"grid__size": 64}, r"slices are 'resize' of 64 pixels, the run's resize of 32"),
        ({"grid__size": "32"}, r"slices are 'resize' of '32' pixels"),
        ({"grid__arm": "crop"}, r"slices are 'crop' of 32 pixels, the run's resize"),
        ({"grid__pixel_mm": 0}, r"pixel_mm is 0, expected 0\.05 to 50"),
        ({"grid__pixel_mm": 1e-6}, r"pixel_mm is 1e-06, expected"),
        ({"grid__size": 10**6, "run__data__size": 10**6}, r"1000000 pixels, expected 4096 at"),
        ({"grid__slice_mm": float("nan")}, r"slice_mm is nan, expected"),
        ({"grid__slice_mm": "4"}, r"slice_mm is '4', expected"),
        ({"card__epoch": "6; rm"}, r"epoch '6; rm' is no number of epochs"),
    ],
)
def test_a_grid_that_prediction_cannot_use_is_refused_in_words(folder, changed, said):
    edit(folder, **changed)
    with pytest.raises(BadModel, match=rf"lacks what prediction needs.*{said}"):
        load_model(folder)


@pytest.mark.parametrize(
    "net",
    [
        {"channels": [10**5, 10**5, 10**5]},
        {"channels": [10**9, 10**9]},
        {"channels": [10**30, 4]},
        {"channels": [-4, 8]},
        {"num_res_units": 10**9},
    ],
)
def test_networks_of_any_size_are_refused_before_memory_is_taken_for_them(folder, net):
    edit(folder, **{f"run__generator__{name}": value for name, value in net.items()})
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadModel, match=r"weights do not fit its model\.json"):
        load_model(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 200_000


def test_weights_of_another_type_are_refused(folder):
    path = folder / "generator.safetensors"
    halves = {k: v.half() if v.is_floating_point() else v for k, v in load_file(path).items()}
    save_file(halves, path)
    edit(folder, weights={})
    with pytest.raises(BadModel, match=r"holds torch\.float16, expected torch\.float32"):
        load_model(folder)


def test_a_weight_that_a_disk_has_changed_is_noticed(folder):
    path = folder / "generator.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 1  # a bit of a value: the file is as well-formed as before
    path.write_bytes(bytes(raw))
    with pytest.raises(BadModel, match=r"safetensors: has sha256 .*was damaged or replaced: copy"):
        load_model(folder)
    edit(folder, weights=["foreign"])
    with pytest.raises(BadModel, match=r"was written for \['foreign'\]"):
        load_model(folder)
    edit(folder, weights={})
    assert load_model(folder), "a folder of an earlier version does not know its hash"


def test_loading_draws_no_random_numbers(folder):
    torch.manual_seed(4)
    expected = torch.rand(1)
    torch.manual_seed(4)
    load_model(folder)
    assert torch.equal(torch.rand(1), expected)


def test_the_digest_in_model_json_is_the_one_that_the_ledger_knows_it_by(folder):
    written = json.loads((folder / "model.json").read_text())["weights"]["digest"]
    model = load_model(folder)
    assert written == model.digest == entrant_of(model).digest
    assert f"| {written} |" in (folder / "model_card.md").read_text()


def test_the_ledgers_digest_never_changes():
    weights = {"a": torch.arange(3.0), "b": torch.tensor(7)}
    # sha256 of the float32 0, 1, 2 and the int64 7, little endian
    assert weights_digest(weights) == "7405290bf485ed20"


def test_scores_given_lie_in_the_folder(folder, generator):
    scores = pd.DataFrame({"trial": [], "case": []})
    save_model(folder, generator.state_dict(), run=tiny_run(), grid=GRID, card=CARD, scores=scores)
    assert list(pd.read_parquet(folder / "validation.parquet")) == ["trial", "case"]


def test_an_address_is_a_folder_or_a_known_scheme(folder):
    assert find_model(str(folder)) == folder
    with pytest.raises(
        BadModel, match=r"ftp:/x: no such model folder. Expected a path, .* or models:"
    ):
        find_model("ftp:/x")
    for address in ("nowhere", "me@lab/nowhere"):
        with pytest.raises(BadModel, match=rf"{address}: no such model folder"):
            find_model(address)
