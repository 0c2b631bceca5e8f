"""`pct inspect DATA --verify` reads every file that the manifest lists, and names all damage."""

import json

import pytest

from data_prep.cli import inspect
from data_prep.metadata import BadInput
from data_prep.parquet import ShardError, read_table, sha256_of, write_table
from data_prep.schema import config_hash
from data_prep.shards import list_cases, manifest_digest, read_manifest
from data_prep.verify import verify


def relist(data, name):
    """Let the manifest fit the file as it is now."""
    content = json.loads((data / "manifest.json").read_text())
    content["files"][name] = sha256_of(data / name)
    content["digest"] = manifest_digest(read_manifest(data).grid, content["files"])
    (data / "manifest.json").write_text(json.dumps(content))


def test_a_whole_folder_passes_and_each_file_is_read_once(made, capsys):
    seen = []
    num = verify(made, on_file=lambda number, name: seen.append((number, name)))
    assert [name for _, name in seen] == list(read_manifest(made).files)
    assert num == len(seen) == seen[-1][0]
    inspect(made, verify=True)
    out = capsys.readouterr().out
    assert f"verified       {num} files: sha256, page checksums, versions, settings" in out
    inspect(made, verify=True, as_program=True)
    assert json.loads(capsys.readouterr().out)["verified"] == num


def test_all_damaged_files_are_named_at_once(data):
    names = [next((data / kind).iterdir()) for kind in ("slices", "volumes", "contact")]
    whole = names[0].read_bytes()
    names[0].write_bytes(whole[:-9])
    names[1].unlink()
    names[2].write_bytes(b"other")
    table = data / "cases.parquet"
    table.write_bytes(table.read_bytes()[:-1] + b"?")
    with pytest.raises(ShardError) as caught:
        inspect(data, verify=True)
    first, *told = str(caught.value).splitlines()
    assert first == f"{data}: 4 of {len(read_manifest(data).files)} files are damaged:"
    assert [line.partition(": ")[0] for line in told] == sorted(map(str, [*names, table]))
    assert all("Run `pct prep` again" in line for line in told)


def test_splits_that_were_changed_are_to_be_restored_and_not_drawn_anew(data):
    path = data / "splits.json"
    path.write_text(path.read_text().replace("test", "val"))
    with pytest.raises(ShardError, match=r"splits\.json: .* Restore it from a copy: splits must"):
        verify(data)


def test_a_page_that_fails_its_checksum_is_found_though_its_sha256_is_listed(data):
    name = f"slices/{list_cases(data, 'train')[0]}.parquet"
    content = bytearray((data / name).read_bytes())
    content[len(content) // 2] ^= 4
    (data / name).write_bytes(content)
    relist(data, name)
    with pytest.raises(ShardError, match=r"1 of .* files is damaged:\n.*damaged or no Parquet"):
        verify(data)


def test_columns_and_settings_of_a_shard_are_checked_too(data):
    train, test = (list_cases(data, split)[0] for split in ("train", "test"))
    kept = config_hash(read_manifest(data).settings)
    slices, volume = f"slices/{train}.parquet", f"volumes/{test}.parquet"
    write_table(read_table(data / slices), data / slices, config="0" * 16)
    write_table(read_table(data / volume).drop_columns("skull"), data / volume, config=kept)
    for name in (slices, volume):
        relist(data, name)
    with pytest.raises(ShardError) as caught:
        verify(data)
    assert "made with other settings (pct.config 0000000000000000)" in str(caught.value)
    assert "belongs to another grid or program" in str(caught.value)


def test_a_lone_series_has_nothing_to_verify_against(tmp_path):
    with pytest.raises(BadInput, match="--verify is for a data folder, and this is none"):
        inspect(tmp_path, verify=True)
