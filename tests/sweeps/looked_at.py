"""A sweep as MLflow and its folder know it, made without training."""

import json
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from PIL import Image

SWEEP = "demo-sweep-0123abcd"
NGF = {"never": "0", "ngf.keep": "20", "ngf.drop": "20, 0 from 3"}


def tracked_sweep(folder: Path, client: MlflowClient, artifacts: Path) -> str:
    """Three trials of four epochs with a panel each, and another sweep's; the experiment's id."""
    experiment = client.create_experiment(f"looked/{folder}", artifact_location=artifacts.as_uri())
    for number, (name, ngf) in enumerate(NGF.items()):
        run_id = trial(client, experiment, name, SWEEP)
        metrics = [Metric("val/psnr_masked", 20.0 + e + number, e, e) for e in range(1, 5)]
        metrics += [Metric("loss/ngf", 0.9, e, e) for e in range(1, 3)]
        metrics += [Metric("best/psnr_masked", 24.0 + number, 5, 4), Metric("best/epoch", 4, 5, 4)]
        params = [Param("lambda_ngf", ngf), Param("lambda_bg", "10"), Param("seed", "1")]
        client.log_batch(run_id, metrics=metrics, params=params)
        for step in (1, 4):
            image = Image.fromarray(np.full((8, 32), 60 * number + step, np.uint8))
            client.log_image(run_id, image, key="val/panel_P-1", step=step)
    trial(client, experiment, "never", "another-sweep-00000000")
    folder.mkdir(parents=True)
    summary = {
        "sweep": SWEEP, "experiment_id": experiment,
        "select": {"metric": "val/psnr_masked", "mode": "max"},
    }  # fmt: skip
    (folder / "sweep.json").write_text(json.dumps(summary))
    return experiment


def trial(client: MlflowClient, experiment: str, name: str, sweep: str, **tags: str) -> str:
    """An empty run of a trial."""
    own = {"pct.kind": "trial", "pct.sweep": sweep, "pct.trial": name, **tags}
    run_id: str = client.create_run(experiment, run_name=name, tags=own).info.run_id
    client.log_batch(run_id, tags=[RunTag("mlflow.source.name", "pct")])
    return run_id
