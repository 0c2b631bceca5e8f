"""The node's cache of slices: equal to the shards, built once, never used when damaged."""

import logging
import multiprocessing
import os
import resource
import shutil
import time
from collections import namedtuple
from dataclasses import fields

import numpy as np
import pytest

from data_prep import cache
from data_prep.cache import CacheError, open_slices
from data_prep.schema import PackedMasks, Slices
from data_prep.shards import ShardError, read_slices


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache of the test's own."""
    monkeypatch.setenv("PCT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def builds(monkeypatch):
    """The splits that were read from shards, in turn."""
    read = []

    def count(data, split):
        read.append(split)
        return read_slices(data, split)

    monkeypatch.setattr(cache, "read_slices", count)
    return read


def arrays(table):
    values = {field.name: getattr(table, field.name) for field in fields(Slices)}
    return {k: v.bits if isinstance(v, PackedMasks) else v for k, v in values.items()}


def files(folder):
    return sorted(path for path in folder.iterdir() if path.name != "lock")


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_cache_gives_the_shards_bit_for_bit_and_read_only(made, folder, split):
    found, expected = arrays(open_slices(made, split)), arrays(read_slices(made, split))
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)
        assert value.size == 0 or not found[name].flags.writeable
    assert open_slices(made, split).valid.size == 32


def test_the_second_opening_reads_no_shard(made, folder, builds):
    open_slices(made, "train")
    open_slices(made, "val")
    open_slices(made, "train")
    assert builds == ["train", "val"]


def test_a_copy_of_the_data_shares_the_file_and_other_data_do_not(made, data, folder, builds):
    open_slices(made, "train")
    open_slices(data, "train")
    assert builds == ["train"]
    (kept,) = files(folder)
    stale = kept.with_name(f"{'0' * 64}-train{cache.ENDING}")
    kept.rename(stale)  # as if another state of the data had this one's name
    open_slices(made, "train")
    shutil.copy(stale, kept)
    assert builds == ["train", "train"]
    shutil.copy(kept, stale)
    assert cache._map(stale) is None


@pytest.mark.parametrize("harm", ["a flipped bit", "a cut", "emptied", "foreign"])
def test_a_damaged_file_is_built_anew_with_one_warning(made, folder, builds, caplog, harm):
    open_slices(made, "train")
    (path,) = files(folder)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    harmed = {"a flipped bit": content, "a cut": content[:-9], "foreign": b"x" * 99, "emptied": b""}
    path.write_bytes(harmed[harm])
    with caplog.at_level(logging.WARNING):
        table = open_slices(made, "train")
    assert builds == ["train", "train"]
    np.testing.assert_array_equal(table.ct_hu, read_slices(made, "train").ct_hu)
    assert [line.getMessage() for line in caplog.records] == [
        f"{path} is damaged and is built anew from the shards"
    ]
    open_slices(made, "train")
    assert len(builds) == 2


def open_and_tell(data, folder, told, start):
    """In another process: open the cache, say so when it had to be built."""

    def slowly(data, split):
        (told / f"built-{os.getpid()}").touch()
        time.sleep(0.3)
        return read_slices(data, split)

    os.environ["PCT_CACHE"] = str(folder)
    cache.read_slices = slowly
    start.wait()
    (told / f"rows-{os.getpid()}").write_text(str(int(open_slices(data, "train").ct_hu.sum())))


def test_processes_that_open_at_once_build_once(made, folder, tmp_path):
    context = multiprocessing.get_context("spawn")
    start, told = context.Barrier(4), tmp_path / "told"
    told.mkdir()
    all_four = [
        context.Process(target=open_and_tell, args=(made, folder, told, start)) for _ in range(4)
    ]
    for one in all_four:
        one.start()
    for one in all_four:
        one.join()
    assert len(list(told.glob("built-*"))) == 1
    expected = str(int(read_slices(made, "train").ct_hu.sum()))
    assert [path.read_text() for path in told.glob("rows-*")] == [expected] * 4
    assert len(files(folder)) == 1


def test_a_disk_without_room_is_told_with_path_and_bytes_before_anything_is_written(
    made, folder, monkeypatch
):
    usage = namedtuple("usage", "total used free")(10**9, 10**9 - 5000, 5000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    message = r"-train\.slices2\.arrow: No space left .* take [\d,]+ bytes, 5,000 are free\. Make"
    with pytest.raises(CacheError, match=message) as caught:
        open_slices(made, "train")
    assert str(folder) in str(caught.value)
    assert files(folder) == []


def test_a_disk_that_fills_up_meanwhile_leaves_nothing_half_written(made, folder):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(CacheError, match=r"File too large.*set PCT_CACHE to a folder on a"):
            open_slices(made, "train")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files(folder) == []
    assert len(open_slices(made, "train"))


def test_files_unused_for_a_month_go_when_another_is_built(made, folder):
    open_slices(made, "train")
    (used,) = files(folder)
    old = used.with_name(f"{'0' * 64}-train{cache.ENDING}")
    foreign = folder / "notes.arrow"
    month_ago = time.time() - 31 * 86400
    for path in (old, foreign):
        shutil.copy(used, path)
    for path in (used, old, foreign):
        os.utime(path, (month_ago, month_ago))
    open_slices(made, "train")  # in use again
    open_slices(made, "val")
    assert {path.name for path in files(folder)} == {
        used.name, used.name.replace("-train", "-val"), "notes.arrow"
    }  # fmt: skip


def test_without_a_setting_the_folder_is_the_users_alone(monkeypatch, tmp_path):
    monkeypatch.delenv("PCT_CACHE")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = cache.cache_folder()
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    with pytest.raises(CacheError, match=r"found drwxr-xr-x of user \d+\. Remove it, or set PCT"):
        cache.cache_folder()
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CacheError, match="that nobody else may enter"):
        cache.cache_folder()


def test_a_folder_that_cannot_be_made_is_told(made, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PCT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(CacheError, match=r"file/cache: Not a directory\. Set PCT_CACHE"):
        open_slices(made, "train")


def test_an_unfinished_data_folder_is_refused_as_without_a_cache(data, folder):
    (data / "manifest.json").unlink()
    with pytest.raises(ShardError, match="no finished data folder"):
        open_slices(data, "train")
