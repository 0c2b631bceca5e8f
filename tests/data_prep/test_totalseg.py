"""TotalSegmentator is called as it wants to be, or not at all; a run never mixes back ends."""

import logging
import os
import socket
import sys
from types import ModuleType

import nibabel as nib
import numpy as np
import pytest

from data_prep import totalseg
from data_prep.masks import choose, head_and_skull
from data_prep.phantom import make_head
from data_prep.pipeline import PrepConfig, prepare
from data_prep.shards import read_case_table
from data_prep.sources import find_cases
from data_prep.totalseg import WEIGHTS, SegmentationFailed, Setup
from pct.__main__ import main

SMALL = {"size": 32, "pixel_mm": 8.0, "max_slices": 5, "ids": "keep"}
NEVER = SegmentationFailed, r"weights \S+, \S+ are not in .*`totalseg_download_weights"


@pytest.fixture(scope="module")
def phantom():
    return make_head(3, size=64, num_slices=24, spacing_mm=(4.0, 4.0, 8.0))


class FakePackage:
    """Stands in for the package at its entry points; `run` decides what segmenting does."""

    def __init__(self):
        self.calls = []
        self.run = lambda image: nib.Nifti1Image(np.zeros(image.shape, np.uint8), image.affine)
        self.gpus = 0

    def __call__(self, image, **options):
        self.calls.append({**options, "weights": os.environ["TOTALSEG_WEIGHTS_PATH"]})
        print("No GPU detected.")
        return self.run(image)

    def modules(self):
        config = ModuleType("totalsegmentator.config")
        api = ModuleType("totalsegmentator.python_api")
        config.setup_totalseg = lambda: self.calls.append("setup")
        config.set_config_key = lambda name, value: self.calls.append((name, value))
        api.totalsegmentator = self
        api.select_device = lambda device: f"cuda:{device[4:] or 0}" if self.gpus else "cpu"
        return {"totalsegmentator": ModuleType("totalsegmentator"),
                config.__name__: config, api.__name__: api}  # fmt: skip


@pytest.fixture
def package(monkeypatch, tmp_path):
    fake = FakePackage()
    for name, module in fake.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(totalseg.metadata, "version", lambda name: "2.0")
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path / "weights"))
    return fake


@pytest.fixture
def weights(tmp_path):
    """A folder with the models of every task."""
    for model in {model for models in WEIGHTS.values() for model in models}:
        (tmp_path / "weights" / model).mkdir(parents=True)
    return tmp_path / "weights"


def labelled(value):
    """A segmentation that gives the label to bone, 4 to other tissue, and leaves holes."""

    def run(image):
        hu = np.asarray(image.dataobj)
        labels = np.select([hu > 300, hu > -300], [value, 4], 0)
        return nib.Nifti1Image(labels.astype(np.uint8), image.affine)

    return run


def test_head_and_skull_come_from_craniofacial_structures(package, weights, phantom, capsys):
    package.run = labelled(3)
    masks = head_and_skull(phantom.ct, backend="totalsegmentator")
    assert package.calls == [
        "setup",
        ("send_usage_stats", False),
        {
            "task": "craniofacial_structures", "fast": False, "device": "gpu", "quiet": True,
            "weights": str(weights),
        },
    ]  # fmt: skip
    assert masks.backend == "totalsegmentator-2.0-craniofacial"
    assert masks.head.array[phantom.ct.array > -300].all()
    assert (masks.head.array & (phantom.ct.array < -900)).any()  # sinuses are filled
    assert np.array_equal(masks.skull.array, phantom.ct.array > 300)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("fast", [True, False])
def test_total_gives_the_skull_and_the_threshold_the_head(package, weights, phantom, fast):
    package.run = labelled(91)
    setup = Setup("total", fast=fast, device="cpu")
    masks = head_and_skull(phantom.ct, backend="totalsegmentator", setup=setup)
    called = {"task": "total", "roi_subset": ["skull"], "fast": fast, "device": "cpu"}
    assert called.items() <= package.calls[-1].items()
    name = "total-fast" if fast else "total"
    assert masks.backend == f"totalsegmentator-2.0-{name}+threshold-2"
    assert 0 < masks.head.array.mean() < 0.5
    assert np.array_equal(masks.skull.array, (phantom.ct.array > 300) & masks.head.array)


def test_a_folder_of_weights_is_set_for_the_call_alone(package, weights, phantom, monkeypatch):
    for before in (None, "elsewhere"):
        monkeypatch.delenv("TOTALSEG_WEIGHTS_PATH")
        if before:
            monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", before)
        head_and_skull(phantom.ct, setup=Setup(weights=weights))
        assert package.calls[-1]["weights"] == str(weights)
        assert os.environ.get("TOTALSEG_WEIGHTS_PATH") == before
        monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", "")


@pytest.mark.parametrize("failure", [SystemExit(1), ConnectionError("no route"), RuntimeError("x")])
def test_what_stops_midway_is_one_message_with_a_remedy(package, weights, phantom, failure):
    def stop(image):
        raise failure

    package.run = stop
    for backend in ("totalsegmentator", "auto"):
        with pytest.raises(SegmentationFailed, match=r"stopped \(\w+: .*use `--masks threshold`"):
            head_and_skull(phantom.ct, backend=backend)


def test_labels_on_another_grid_are_refused(package, weights, phantom):
    package.run = lambda image: nib.Nifti1Image(np.zeros(image.shape, np.uint8), np.eye(4))
    with pytest.raises(SegmentationFailed, match="labels on grid"):
        head_and_skull(phantom.ct, backend="totalsegmentator")


@pytest.mark.parametrize(("task", "models"), WEIGHTS.items(), ids=str)
def test_any_model_that_is_absent_is_refused_before_the_package_is_called(
    package, weights, phantom, task, models
):
    setup = Setup(*task)
    assert choose("auto", setup) == "totalsegmentator"
    package.calls.clear()
    for model, command in models.items():
        (weights / model).rmdir()
        with pytest.raises(SegmentationFailed, match=f"weights {model} are not in") as caught:
            head_and_skull(phantom.ct, backend="totalsegmentator", setup=setup)
        assert f"`totalseg_download_weights -t {command}` on a machine with" in str(caught.value)
        (weights / model).mkdir()
    assert package.calls == []


def test_a_gpu_that_is_not_there_is_refused_and_none_is_needed(package, weights):
    with pytest.raises(SegmentationFailed, match=r"there is no gpu:1 .* Leave --device out"):
        choose("totalsegmentator", Setup(device="gpu:1"))
    assert choose("totalsegmentator") == "totalsegmentator"
    package.gpus = 2
    assert choose("totalsegmentator", Setup(device="gpu:1")) == "totalsegmentator"


@pytest.fixture
def no_network(monkeypatch):
    """Every attempt to connect or to look a name up is noted, and fails."""
    attempts = []

    def refuse(*args):
        attempts.append(args)
        raise OSError("network is off")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return attempts


def test_auto_without_weights_falls_back_with_one_warning_and_no_connection(
    collection, tmp_path, monkeypatch, caplog, no_network
):
    pytest.importorskip("totalsegmentator")
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path / "none"))
    with caplog.at_level(logging.WARNING):
        prepare(find_cases("synthrad", collection), tmp_path / "d", PrepConfig(**SMALL))
    rows = read_case_table(tmp_path / "d").to_pylist()
    assert [row["mask_backend"] for row in rows] == ["threshold-2"] * 4
    told = [one.getMessage() for one in caplog.records if "threshold" in one.getMessage()]
    assert len(told) == 1
    assert told[0].startswith("masks are drawn by threshold-2, for TotalSegmentator's weights")
    assert no_network == []
    assert not (tmp_path / "none").exists()


def test_auto_falls_back_where_the_package_exits_as_it_is_loaded(
    package, weights, monkeypatch, caplog
):
    def leave():
        raise SystemExit("no licence")

    monkeypatch.setattr(sys.modules["totalsegmentator.config"], "setup_totalseg", leave)
    assert choose("auto") == "threshold"
    assert "stopped (SystemExit: no licence)" in caplog.text
    with pytest.raises(SegmentationFailed, match="no licence"):
        choose("totalsegmentator")


def test_a_case_where_it_stops_is_refused_for_masks_of_two_kinds_do_not_mix(
    package, weights, collection, tmp_path
):
    good, bad = labelled(3), RuntimeError("out of memory")

    def run(image):
        done = sum(isinstance(call, dict) for call in package.calls)
        if done == 1:
            raise bad
        return good(image)

    package.run = run
    manifest = prepare(find_cases("synthrad", collection), tmp_path / "d", PrepConfig(**SMALL))
    rows = read_case_table(tmp_path / "d").to_pylist()
    assert [row["status"] == "refused" for row in rows] == [True, False, False, False]
    assert rows[0]["reason"].startswith("TotalSegmentator stopped (RuntimeError: out of memory)")
    assert manifest.mask_backends == ("totalsegmentator-2.0-craniofacial",)
    assert manifest.settings["masks"] == "totalsegmentator"
    assert {"device", "weights"}.isdisjoint(manifest.settings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--masks", "totalsegmentator", "--weights", "none"], "weights Dataset115_mandible, "),
        (["--fast"], "craniofacial has no fast model; take --segmenter total"),
        (["--device", "gpu:x"], "--device gpu:x: String should match pattern"),
    ],
)
def test_what_cannot_be_had_is_one_message_and_exit_2(
    collection, tmp_path, capsys, options, message
):
    pytest.importorskip("totalsegmentator")
    command = ["prep", "synthrad", "--from", str(collection), "--to", str(tmp_path / "d")]
    assert main([*command, *options]) == 2
    assert capsys.readouterr().err.count(message) == 1
    assert not (tmp_path / "d").exists()


def test_settings_without_effect_are_said_once(caplog):
    assert choose("threshold", Setup(device="cpu")) == "threshold"
    assert [one.getMessage() for one in caplog.records] == [
        "--segmenter, --fast, --device, --weights do nothing by --masks threshold"
    ]


def test_the_models_labels_and_tasks_are_those_of_the_package():
    tasks = pytest.importorskip("totalsegmentator.map_tasks_config")
    labels = pytest.importorskip("totalsegmentator.map_to_binary").class_map
    folder = {key: one.get("foldername") for key, one in tasks.TASK_ID_WEIGHTS_CONFIGS.items()}
    for (segmenter, fast), models in WEIGHTS.items():
        task = tasks.TASK_CONFIGS["total" if segmenter == "total" else "craniofacial_structures"]
        mode = task["sub_modes"]["fast" if fast else "default"] if segmenter == "total" else task
        ids = mode["task_id"] if isinstance(mode["task_id"], list) else [mode["task_id"]]
        assert set(models) == {folder[one] for one in [*ids, 298]}
    assert tasks.TASK_CONFIGS["craniofacial_structures"]["disallow_fast"]
    assert labels["craniofacial_structures"][3] == labels["total"][91] == "skull"
