import shutil

import pytest

from data_prep.phantom import make_head
from data_prep.pipeline import PrepConfig, prepare
from data_prep.sources import find_cases
from data_prep.volume import save_nifti

CONFIG = PrepConfig(size=32, pixel_mm=8.0, max_slices=5, masks="threshold", ids="keep")


@pytest.fixture(scope="session")
def config():
    """Settings of `made`."""
    return CONFIG


@pytest.fixture(scope="session")
def collection(tmp_path_factory):
    """Four small phantoms as SynthRAD lays them out, by the names of patients."""
    root = tmp_path_factory.mktemp("collection")
    for number in range(4):
        head = make_head(number, size=64, num_slices=24, spacing_mm=(4.0, 4.0, 8.0))
        save_nifti(head.mr, root / f"Secret-{number}" / "mr.nii.gz")
        save_nifti(head.ct, root / f"Secret-{number}" / "ct.nii.gz")
    return root


@pytest.fixture(scope="session")
def made(collection, tmp_path_factory):
    data = tmp_path_factory.mktemp("made") / "data"
    prepare(find_cases("synthrad", collection), data, CONFIG)
    return data


@pytest.fixture
def data(made, tmp_path):
    shutil.copytree(made, tmp_path / "data")
    shutil.copytree(made.with_name("data.private"), tmp_path / "data.private")
    return tmp_path / "data"


@pytest.fixture
def own_collection(collection, tmp_path):
    """A copy to spoil; times are kept, so untouched cases count as done."""
    return shutil.copytree(collection, tmp_path / "collection")
