"""Shards that are damaged, foreign or out of date are refused, with the file and the remedy."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep import parquet
from data_prep.parquet import ShardError, read_table, write_table
from data_prep.schema import PREP
from data_prep.shards import list_cases, read_manifest, read_slices, read_volumes


@pytest.mark.parametrize("kind", ["slices", "volumes"])
def test_one_flipped_bit_is_noticed_and_the_file_named(data, kind):
    path = sorted((data / kind).glob("*.parquet"))[0]
    subject = path.stem
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    split = json.loads((data / "splits.json").read_text())[subject]
    reader, what = (read_slices, split) if kind == "slices" else (read_volumes, subject)
    with pytest.raises(ShardError, match=r"its sha256 differs .* Run `pct prep` again") as caught:
        reader(data, what)
    assert str(path) in str(caught.value)


def test_a_flipped_bit_is_noticed_by_the_page_checksum_alone(data):
    path = next((data / "slices").glob("*.parquet"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(ShardError, match=r"damaged or no Parquet file .*Run `pct prep` again"):
        read_table(path)


def test_a_truncated_shard_is_refused(data):
    path = next((data / "slices").glob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ShardError, match="damaged or no Parquet file"):
        read_table(path)


def test_a_missing_shard_is_refused(data):
    subject = list_cases(data, "train")[0]
    (data / "slices" / f"{subject}.parquet").unlink()
    with pytest.raises(ShardError, match=rf"{subject}\.parquet: No such file .* Run `pct prep`"):
        read_slices(data, "train")


def test_a_foreign_parquet_file_is_refused(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
    with pytest.raises(ShardError, match=r"pct\.schema is none, this program reads 3"):
        read_table(tmp_path / "x.parquet")


def test_a_shard_of_another_arithmetic_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "PREP", 99)
    write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
    monkeypatch.undo()
    with pytest.raises(ShardError, match=rf"pct\.prep is 99, this program reads {PREP}"):
        read_table(tmp_path / "x.parquet")


def test_a_shard_of_another_size_is_refused(data):
    subject = list_cases(data, "train")[0]
    with pytest.raises(ShardError, match="belongs to another grid or program"):
        read_table(data / f"slices/{subject}.parquet", schema=pa.schema([("a", pa.int8())]))


def test_a_folder_without_manifest_is_unfinished(data):
    (data / "manifest.json").unlink()
    with pytest.raises(ShardError, match=r"no manifest\.json, so no finished data folder"):
        read_manifest(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 1}, "schema_version 1, this program reads 3"),
        ({"prep": 7}, f"prep 7, this program reads {PREP}"),
        ({"digest": "0"}, "its digest does not fit its files"),
        ({"colour": "red"}, "not a manifest of ours"),
    ],
)
def test_an_edited_manifest_is_refused(data, change, message):
    path = data / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ShardError, match=message):
        read_manifest(data)


def test_splits_that_were_edited_are_refused(data):
    path = data / "splits.json"
    path.write_text(path.read_text().replace("test", "train"))
    with pytest.raises(ShardError, match="changed since the manifest was written"):
        list_cases(data, "train")
