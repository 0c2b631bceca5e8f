"""What Ray's workers find in their environment."""

import os

from sweeps.runner import ENVIRONMENT, set_environment, worker_environment


def test_workers_share_the_drivers_slice_cache_wherever_they_run(monkeypatch, tmp_path):
    set_environment()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PCT_CACHE", "cache")
    assert worker_environment()["PCT_CACHE"] == str(tmp_path / "cache")
    monkeypatch.delenv("PCT_CACHE")
    assert worker_environment() == {name: os.environ[name] for name in ENVIRONMENT}
