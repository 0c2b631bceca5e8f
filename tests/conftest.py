from pathlib import Path

import pytest

from tests.data_folder import make_data


@pytest.fixture(scope="session")
def phantom_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of six phantoms, not to be changed."""
    return make_data(tmp_path_factory.mktemp("phantoms"))
