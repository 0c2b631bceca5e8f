"""What a promoted model takes by MLflow's `predict`, and the words for what it does not take."""

import numpy as np
import pandas as pd
import pytest
import torch

from data_prep.dicom import read_series
from data_prep.phantom import make_head
from data_prep.phantom_dicom import write_cohort
from data_prep.schema import SliceGrid
from data_prep.volume import load_nifti, save_nifti
from pct.model import save_model
from pct.networks import Generator
from pct.prediction.check import warnings
from pct.prediction.quality import look_over
from pct.prediction.series import BadSource
from pct.prediction.volume import predict_volume, prepare
from sweeps.promotion.volumes import BadInput, PseudoCt, _load_pyfunc
from tests.pct.identity import CARD
from tests.tiny import tiny_run

GRID = SliceGrid("resize", 32, 8.0, 12.0)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory) -> PseudoCt:
    torch.manual_seed(3)
    run = tiny_run()
    generator = Generator(run.generator)
    generator(torch.rand(4, 1, 32, 32))
    folder = tmp_path_factory.mktemp("volumes") / "model"
    save_model(folder, generator.state_dict(), run=run, grid=GRID, card=CARD)
    return _load_pyfunc(str(folder))


@pytest.fixture(scope="module")
def mr():
    return make_head(7, size=64, num_slices=16, spacing_mm=(4.0, 4.0, 12.0)).mr


def test_a_file_gives_int16_hu_on_its_own_voxels(loaded, mr, tmp_path):
    save_nifti(mr, tmp_path / "mr.nii")
    expected = predict_volume(loaded.model, mr).array
    for given in (tmp_path / "mr.nii", str(tmp_path / "mr.nii")):
        found = loaded.predict(given)
        assert (found.dtype, found.shape) == (np.int16, mr.array.shape)
        assert np.array_equal(found, expected)


def test_a_dicom_folder_gives_it_in_ras_order_and_a_ct_is_refused(loaded, tmp_path):
    write_cohort(tmp_path / "dicom", num_cases=1, size=64, num_slices=16)
    folders = {path.parent for path in (tmp_path / "dicom").rglob("*.dcm")}
    kinds = {}
    for folder in sorted(folders):
        try:
            kinds["MR"] = (loaded.predict(folder), read_series(folder))
        except BadSource as error:
            kinds["CT"] = str(error)
    found, series = kinds["MR"]
    assert np.array_equal(found, predict_volume(loaded.model, series).array)
    assert "a CT and no MR" in kinds["CT"]


def test_a_table_writes_a_file_a_row(loaded, mr, tmp_path):
    save_nifti(mr, tmp_path / "mr.nii.gz")
    rows = pd.DataFrame({
        "mr": [str(tmp_path / "mr.nii.gz")] * 2,
        "to": [str(tmp_path / "out" / f"{name}.nii.gz") for name in "ab"],
        "note": ["ignored", "columns"],
    })  # fmt: skip
    done = loaded.predict(rows)
    written = load_nifti(tmp_path / "out" / "b.nii.gz")
    assert np.array_equal(written.array, predict_volume(loaded.model, mr).array)
    assert np.allclose(written.affine, mr.affine)
    assert list(done.columns) == ["to", "shape", "low_hu", "high_hu", "warnings", "reason"]
    assert done["to"].tolist() == rows["to"].tolist()
    assert done["shape"].tolist() == [mr.array.shape] * 2
    assert done["low_hu"].tolist() == [written.array.min()] * 2
    assert done["high_hu"].tolist() == [written.array.max()] * 2


def test_a_table_tells_which_checks_do_not_hold(loaded, mr, tmp_path):
    save_nifti(mr, tmp_path / "mr.nii")
    model, prepared = loaded.model, prepare(loaded.model, mr)
    found = warnings(look_over(model, prepared, predict_volume(model, mr)))
    assert len(found) > 1, "an untrained generator"
    rows = pd.DataFrame({"mr": [str(tmp_path / "mr.nii")], "to": [str(tmp_path / "pct.nii")]})
    done = loaded.predict(rows).iloc[0]
    assert (done["warnings"], done["reason"]) == (len(found), "; ".join(found))


def test_an_array_with_its_place_gives_one_with_the_same_place(loaded, mr):
    found = loaded.predict({"mr": mr.array, "affine": mr.affine.tolist()})
    assert np.array_equal(found["pct_hu"], predict_volume(loaded.model, mr).array)
    assert np.array_equal(found["affine"], mr.affine)


@pytest.mark.parametrize("shape", [(1, 1, 32, 32), (11, 1, 8, 20), (9, 1, 64, 16)])
def test_slices_pass_in_any_number_and_any_size_that_divides(loaded, shape):
    slices = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    found = loaded.predict(slices)
    with torch.no_grad():
        one_by_one = [loaded.model.generator(torch.from_numpy(s[None])) for s in slices]
    assert (found.dtype, found.shape) == (np.float32, shape)
    np.testing.assert_allclose(found, torch.cat(one_by_one).numpy(), atol=1e-6)


PLACE = np.eye(4)
BOX = np.zeros((4, 4, 4))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (3, "found int. Expected the path of an MR"),
        (None, "found NoneType. Expected"),
        ({"mr": BOX}, "found a dict with mr. Expected"),
        ({}, "found a dict with nothing"),
        ({"mr": BOX[0], "affine": PLACE}, r"mr is float64 \(4, 4\), expected real numbers"),
        ({"mr": BOX.astype(complex), "affine": PLACE}, "mr is complex128"),
        ({"mr": BOX, "affine": PLACE[:3]}, "affine must be a finite, invertible 4x4"),
        ({"mr": BOX, "affine": 0 * PLACE}, "affine must be a finite, invertible 4x4"),
        ({"mr": BOX, "affine": PLACE * np.nan}, "affine must be a finite, invertible 4x4"),
        (np.zeros((2, 1, 30, 32), np.float32), "slices of 30 x 32 pixels: expected sides that are "
         "multiples of 4, from 8 on"),
        (np.zeros((2, 1, 32, 4), np.float32), "slices of 32 x 4 pixels"),
        (np.zeros((2, 3, 32, 32), np.float32), r"slices are float32 \(2, 3, 32, 32\), expected"),
        (np.zeros((32, 32, 9), np.int16), r"int16 \(32, 32, 9\).*comes as a dict"),
        (np.zeros((0, 1, 32, 32), np.float32), r"slices are float32 \(0, 1, 32, 32\)"),
        (np.full((1, 1, 8, 8), 40, np.float32), "slices hold 40 to 40, expected -1 to 1"),
        (np.full((1, 1, 8, 8), np.nan, np.float32), "slices hold nan to nan"),
        (pd.DataFrame({"path": ["x"]}), "the table lacks mr and to. Expected"),
        (pd.DataFrame({"mr": ["x"], "to": ["y.dcm"]}), "to: y.dcm: expected a name that ends in"),
        (pd.DataFrame({"mr": ["x"] * 2, "to": ["y.nii"] * 2}), "to: y.nii is there twice"),
        (pd.DataFrame({"mr": ["x"] * 2, "to": ["y.nii", "z/../y.nii"]}), "to: y.nii is there twi"),
        (pd.DataFrame({"mr": ["x.nii", "y.nii"], "to": ["z.nii", "./x.nii"]}),
         r"to: \./x\.nii is an MR of the table. Name a file that is none of them"),
        (pd.DataFrame({"mr": ["p1"], "to": ["p1/mr.nii.gz"]}), "p1/mr.nii.gz is an MR of the"),
    ],
)  # fmt: skip
def test_what_it_does_not_take_is_refused_in_words(loaded, given, said):
    with pytest.raises(BadInput, match=said):
        loaded.predict(given)


def test_a_file_that_is_not_there_is_named(loaded, tmp_path):
    with pytest.raises(BadSource, match=r"nowhere\.nii: no such file"):
        loaded.predict(tmp_path / "nowhere.nii")
