"""Shards name the settings they were made with; those of other settings are never read."""

import json
import shutil
from dataclasses import asdict

import pyarrow.parquet as pq
import pytest

from data_prep.parquet import ShardError, sha256_of
from data_prep.pipeline import prepare
from data_prep.schema import config_hash
from data_prep.shards import list_cases, manifest_digest, read_manifest, read_slices, read_volumes
from data_prep.sources import find_cases
from data_prep.split_rules import parse_rule
from tests.data_prep.conftest import CONFIG


@pytest.fixture(scope="module")
def other(collection, tmp_path_factory):
    """The same cases with fewer slices a patient: the same columns, other numbers."""
    data = tmp_path_factory.mktemp("other") / "data"
    config = CONFIG.model_copy(update={"max_slices": 4, "seed": 1})
    prepare(find_cases("synthrad", collection), data, config)
    return data


def relist(data, name):
    """What a careless copy would do: let the manifest fit the file."""
    content = asdict(read_manifest(data))
    content["files"][name] = sha256_of(data / name)
    content["digest"] = manifest_digest(read_manifest(data).grid, content["files"])
    (data / "manifest.json").write_text(json.dumps(content))


@pytest.mark.parametrize(("kind", "split"), [("slices", "train"), ("volumes", "test")])
def test_a_shard_of_other_settings_is_refused_though_its_sha256_is_listed(data, other, kind, split):
    case = list_cases(data, split)[0]
    name = f"{kind}/{case}.parquet"
    shutil.copy(other / name, data / name)
    relist(data, name)
    message = r"other settings \(pct\.config \w+\) than the manifest's \(\w+\)\. Run `pct prep`"
    with pytest.raises(ShardError, match=message) as caught:
        read_slices(data, split) if kind == "slices" else read_volumes(data, case)
    assert str(data / name) in str(caught.value)


def test_a_manifest_whose_settings_were_edited_fits_no_shard(data, collection):
    path = data / "manifest.json"
    content = json.loads(path.read_text())
    content["settings"]["crop_at"] = "centre"
    path.write_text(json.dumps(content))
    with pytest.raises(ShardError, match=r"slices/Secret-\d\.parquet: made with other settings"):
        read_slices(data, "train")
    prepare(find_cases("synthrad", collection), data, CONFIG)
    assert len(read_slices(data, "train")) == 10, "as the message says"


def test_slices_and_volumes_hold_the_hash_of_the_manifest_s_settings(made):
    expected = config_hash(read_manifest(made).settings)
    for path in [*made.glob("slices/*"), *made.glob("volumes/*")]:
        assert pq.read_schema(path).metadata[b"pct.config"].decode() == expected


def test_what_changes_no_number_changes_no_hash():
    same = {"allow_cut": True, "ids": "hash", "device": "cpu", "split": parse_rule("kfold:1/5")}
    assert CONFIG.model_copy(update=same).shard_hash == CONFIG.shard_hash
    for name, value in {
        "arm": "crop", "size": 64, "pixel_mm": 4.0, "crop_at": "centre", "max_slices": 6,
        "masks": "totalsegmentator", "segmenter": "total", "fast": True, "seed": 1,
    }.items():  # fmt: skip
        assert CONFIG.model_copy(update={name: value}).shard_hash != CONFIG.shard_hash, name
    one_mm = CONFIG.model_copy(update={"size": 256, "pixel_mm": None})
    assert one_mm.shard_hash == one_mm.model_copy(update={"pixel_mm": 1.0}).shard_hash
