"""Promotion through a real MLflow server, one that goes away on the way, and by MLflow itself."""

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient, artifacts

from pct.model import find_model, load_model
from sweeps.promotion.registry import ADDRESS, CHAMPION, PREVIOUS
from sweeps.tracking import Place
from tests.sweeps.promotable import Promotable


@pytest.fixture
def away(promotable, door, tmp_path) -> Promotable:
    """The finished sweep, its trials tracked at the server."""
    return promotable.tracked_at(Place(door.uri, tmp_path / "unused"))


def champion_of(away: Promotable) -> str:
    return load_model(find_model(ADDRESS, tracking=away.place.uri)).card["trial"]


def test_models_go_through_the_server_and_come_back_whole(away, monkeypatch):
    assert away.pct("--trial", "one") == away.pct("--trial", "two") == 0
    assert (away.at(CHAMPION), away.at(PREVIOUS), champion_of(away)) == ("two", "one", "two")
    assert away.version(2).source.startswith("mlflow-artifacts:/")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", away.place.uri)
    folder = artifacts.download_artifacts(artifact_uri="models:/pct@previous")
    assert load_model(find_model(folder)).card["trial"] == "one"
    assert away.pct("--rollback", "--note", "back") == 0
    assert (away.at(CHAMPION), away.at(PREVIOUS), champion_of(away)) == ("one", None, "one")


def test_a_server_that_goes_away_during_the_upload_leaves_the_champion(
    away, door, monkeypatch, capsys
):
    assert away.pct("--trial", "one") == 0
    upload = MlflowClient.log_model_artifacts

    def cut_off(self, model_id, local_dir):
        door.shut()
        upload(self, model_id, local_dir)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_model_artifacts", cut_off)
        assert away.pct("--trial", "two") == 2
    assert "a call failed" in capsys.readouterr().err
    assert away.pct("--trial", "two") == 2
    assert "cannot be reached" in capsys.readouterr().err
    door.open()
    assert (away.at(CHAMPION), away.numbers(), champion_of(away)) == ("one", [1], "one")
    assert away.pct("--trial", "two") == 0
    assert (away.at(CHAMPION), away.numbers(), champion_of(away)) == ("two", [1, 2], "two")
    runs = set(pd.read_parquet(away.folder / "trials.parquet")["run_id"])
    experiment = away.client.get_experiment_by_name("promotable").experiment_id
    ready = [
        model.tags["pct.trial"]
        for model in away.client.search_logged_models([experiment])
        if str(model.status) == "READY" and model.source_run_id in runs
    ]
    assert sorted(ready) == ["one", "two"]


def test_a_registry_that_is_away_does_not_look_like_an_empty_one(away, monkeypatch, capsys):
    """Else any model would pass as the first."""
    assert away.pct("--trial", "one") == 0
    away.score("two", mae_head=120.0)

    def gone(self, name, alias):
        raise OSError("connection reset")

    monkeypatch.setattr(MlflowClient, "get_model_version_by_alias", gone)
    assert away.pct("--trial", "two") == 2
    assert "a call failed (connection reset)" in capsys.readouterr().err


def test_mlflow_loads_the_champion_by_its_alias(finished, tmp_path, monkeypatch):
    """With its real flavours, from a version that is a logged model."""
    promotable = finished.copied(tmp_path)
    assert promotable.pct("--trial", "one") == 0
    monkeypatch.setenv("MLFLOW_TRACKING_URI", promotable.place.uri)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    slices = np.zeros((2, 1, 32, 32), np.float32)
    assert mlflow.pyfunc.load_model(ADDRESS).predict(slices).shape == slices.shape
