from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data_folder import make_data


@pytest.fixture(scope="session", autouse=True)
def slice_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Slices are cached in a folder of this session, never in the user's."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PCT_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def phantom_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of six phantoms, not to be changed."""
    return make_data(tmp_path_factory.mktemp("phantoms"))
