from pathlib import Path

import pytest
from sweep_folder import write_sweep


@pytest.fixture
def sweep_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "demo"
    write_sweep(folder)
    return folder
