import sys
from types import ModuleType

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from data_prep import totalseg
from data_prep.masks import THRESHOLD, head_and_skull, head_from_mr
from data_prep.phantom import make_head
from data_prep.pipeline import PrepConfig, prepare
from data_prep.totalseg import SegmentationFailed
from data_prep.volume import BadVolume, Volume

MODEL, CROP_MODEL = "Dataset115_mandible", "Dataset298_TotalSegmentator_total_6mm_1559subj"


@pytest.fixture(scope="module")
def phantom():
    return make_head(3, size=128, num_slices=40, spacing_mm=(2.0, 2.0, 5.0))


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_the_head_of_a_ct_is_found_without_couch_and_frame(phantom):
    masks = head_and_skull(phantom.ct, backend="threshold")
    spacing_mm = phantom.ct.spacing_mm
    away_mm = ndimage.distance_transform_edt(~phantom.head.array, sampling=spacing_mm)
    assert (phantom.ct.array[away_mm > 12] > 500).sum() > 100
    assert not masks.head.array[away_mm > 12].any()  # only stumps of the pins remain
    assert dice(masks.head.array, phantom.head.array) > 0.99
    assert masks.backend == THRESHOLD == "threshold-1"


def test_the_skull_lies_in_the_head_and_fits_the_bone(phantom):
    masks = head_and_skull(phantom.ct, backend="threshold")
    assert not (masks.skull.array & ~masks.head.array).any()
    assert dice(masks.skull.array, phantom.skull.array) > 0.9


def test_air_in_sinuses_belongs_to_the_head(phantom):
    head = head_and_skull(phantom.ct, backend="threshold").head.array
    cavities = phantom.head.array & (phantom.ct.array < -500)
    assert cavities.sum() > 100
    assert (head & cavities).sum() > 0.95 * cavities.sum()


def test_a_ct_of_air_gives_empty_masks():
    masks = head_and_skull(Volume(np.full((32, 32, 8), -1000, np.int16), np.eye(4)))
    assert not masks.head.array.any()
    assert not masks.skull.array.any()


def test_the_head_of_an_mr_is_found_under_a_strong_bias_field(phantom):
    ramp = np.linspace(0.3, 3.0, phantom.mr.array.shape[0], dtype=np.float32)[:, None, None]
    for field in (1.0, ramp, ramp[::-1]):
        found = head_from_mr(phantom.mr.with_array(phantom.mr.array * field))
        assert dice(found.array, phantom.head.array) > 0.97


def test_the_head_of_an_mr_does_not_depend_on_its_unit(phantom):
    found = head_from_mr(phantom.mr).array
    assert (found == head_from_mr(phantom.mr.with_array(phantom.mr.array * 0.25)).array).all()


def test_a_constant_mr_holds_no_head():
    with pytest.raises(BadVolume, match="the MR is constant or not finite"):
        head_from_mr(Volume(np.ones((16, 16, 8), np.float32), np.eye(4)))


@pytest.fixture
def fake_totalseg(monkeypatch, tmp_path):
    """Stands in for the package at its two entry points; `run` decides what segmenting does."""
    calls = []
    config, api = ModuleType("totalsegmentator.config"), ModuleType("totalsegmentator.python_api")
    config.setup_totalseg = lambda: calls.append("setup")
    config.set_config_key = lambda name, value: calls.append((name, value))
    api.run = None

    def totalsegmentator(image, **options):
        calls.append(options["task"])
        return api.run(image)

    api.totalsegmentator = totalsegmentator
    monkeypatch.setitem(sys.modules, "totalsegmentator", ModuleType("totalsegmentator"))
    monkeypatch.setitem(sys.modules, "totalsegmentator.config", config)
    monkeypatch.setitem(sys.modules, "totalsegmentator.python_api", api)
    monkeypatch.setattr(totalseg, "name", lambda: "totalsegmentator-2.0")
    monkeypatch.setattr(totalseg.metadata, "version", lambda name: "2.0")
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path))
    return api, calls


@pytest.fixture
def weights(tmp_path):
    """Folders of the task's model and of the one that it crops by."""
    folders = [tmp_path / name for name in (MODEL, CROP_MODEL)]
    for folder in folders:
        folder.mkdir()
    return folders


def test_totalsegmentator_sends_no_statistics_and_names_its_version(
    fake_totalseg, weights, phantom
):
    api, calls = fake_totalseg
    labels = np.zeros(phantom.ct.array.shape, np.uint8)
    labels[2:5], labels[3] = 4, 3
    api.run = lambda image: nib.Nifti1Image(labels, image.affine)
    masks = head_and_skull(phantom.ct, backend="totalsegmentator")
    assert calls == ["setup", ("send_usage_stats", False), "craniofacial_structures"]
    assert masks.backend == "totalsegmentator-2.0"
    assert (masks.head.array == (labels > 0)).all()
    assert (masks.skull.array == (labels == 3)).all()


@pytest.mark.parametrize("failure", [SystemExit(1), ConnectionError("no route"), RuntimeError("x")])
def test_totalsegmentator_that_stops_is_one_message_with_a_remedy(
    fake_totalseg, weights, phantom, failure
):
    def stop(image):
        raise failure

    fake_totalseg[0].run = stop
    with pytest.raises(SegmentationFailed, match=r"stopped \(\w+: .*use `--masks threshold`"):
        head_and_skull(phantom.ct, backend="totalsegmentator")


@pytest.mark.parametrize(
    ("missing", "command"), [(MODEL, "craniofacial_structures"), (CROP_MODEL, "total_fast")]
)
def test_either_model_that_is_absent_is_refused_before_anything_is_downloaded(
    fake_totalseg, weights, phantom, tmp_path, missing, command
):
    (tmp_path / missing).rmdir()
    assert not totalseg.has_weights()
    with pytest.raises(SegmentationFailed, match=rf"weights {missing} are not in .*") as caught:
        head_and_skull(phantom.ct, backend="totalsegmentator")
    assert f"`totalseg_download_weights -t {command}` on a machine with" in str(caught.value)
    assert head_and_skull(phantom.ct).backend == THRESHOLD
    assert fake_totalseg[1] == []


def test_preparing_with_totalsegmentator_stops_at_once_where_it_is_not_there(
    fake_totalseg, tmp_path
):
    with pytest.raises(SegmentationFailed, match=f"weights {MODEL}, {CROP_MODEL} are not in"):
        prepare([], tmp_path / "d", PrepConfig(masks="totalsegmentator"))
    assert list(tmp_path.iterdir()) == []


def test_the_names_of_the_models_are_those_of_the_package():
    tasks = pytest.importorskip("totalsegmentator.map_tasks_config")
    known = {one["foldername"] for one in tasks.TASK_ID_WEIGHTS_CONFIGS.values()}
    assert set(totalseg.WEIGHTS) <= known


def test_auto_takes_totalsegmentator_where_both_its_models_lie(fake_totalseg, weights):
    assert totalseg.has_weights()
