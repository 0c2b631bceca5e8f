from pathlib import Path

import pytest
import torch

from pct.state import TrainState, start, to_bytes
from pct.train import TrainingData
from tests.pct.predicting import MODEL, predict, write_patients
from tests.pct.restless import full_run, train
from tests.tiny import disc_slices


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Training makes much of the order in which threads add."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_data() -> TrainingData:
    return TrainingData(
        train=disc_slices(cases=3, per_case=4), val=disc_slices(cases=2, per_case=3, seed=9)
    )


@pytest.fixture(scope="module")
def straight(tiny_data) -> tuple[TrainState, str]:
    state = train(start(full_run()), full_run(), tiny_data, until=6)
    return state, state.fingerprint()


@pytest.fixture(scope="module")
def at_three(tiny_data) -> bytes:
    return to_bytes(train(start(full_run()), full_run(), tiny_data, until=3))


@pytest.fixture(scope="session")
def patients(tmp_path_factory) -> Path:
    """A folder of patients, not to be changed."""
    return write_patients(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="session")
def through(patients, tmp_path_factory) -> Path:
    """The output of a run over all patients, not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pct.model.load_model", lambda folder, device: MODEL)
        to = tmp_path_factory.mktemp("out") / "pcts"
        assert predict(patients, to) == 3
    return to
