"""The data folder as MLflow's runs name it: by digest, without a path."""

import json

from mlflow.entities import Dataset, DatasetInput, InputTag

from data_prep.schema import Manifest

LONGEST_DIGEST = 36
"""Characters that MLflow takes; the tag `pct.data_digest` holds all of them."""


def data_input(manifest: Manifest, name: str) -> DatasetInput:
    """The data set that a run was trained on."""
    profile = {
        "num_cases": manifest.num_cases,
        "num_slices": manifest.num_slices,
        "grid": f"{manifest.grid.arm} {manifest.grid.size} px of {manifest.grid.pixel_mm:g} mm",
        "mask_backends": list(manifest.mask_backends),
    }
    dataset = Dataset(
        name=name,
        digest=manifest.digest[:LONGEST_DIGEST],
        source_type="local",
        source=json.dumps({"uri": name}),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])
