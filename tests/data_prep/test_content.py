"""A case is made anew when what its files hold has changed, and only then."""

import os
import shutil
import sys
import types

import pytest

from data_prep import tasks
from data_prep.content import content_of, stamps_of
from data_prep.pipeline import prepare
from data_prep.records import Job
from data_prep.sources import find_cases
from data_prep.tasks import Tasks, run_jobs
from tests.data_prep.conftest import CONFIG


class Redone(Exception):
    pass


@pytest.fixture
def no_work(monkeypatch):
    """Preparing any case at all is an error."""

    def refuse(job):
        raise Redone(job.subject)

    monkeypatch.setattr(tasks, "prepare_case", refuse)


@pytest.mark.usefixtures("no_work")
def test_touched_moved_or_renamed_files_are_the_same_case(data, own_collection):
    manifest = (data / "manifest.json").read_bytes()
    for path in own_collection.rglob("*.nii.gz"):
        os.utime(path)
    moved = own_collection.rename(own_collection.with_name("elsewhere"))
    prepare(find_cases("synthrad", moved), data, CONFIG)
    assert (data / "manifest.json").read_bytes() == manifest


@pytest.mark.usefixtures("no_work")
def test_another_content_of_the_same_size_and_time_is_noticed(data, own_collection):
    path = own_collection / "Secret-1" / "mr.nii.gz"
    before, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    with pytest.raises(Redone, match="Secret-1"):
        prepare(find_cases("synthrad", own_collection), data, CONFIG)


def test_content_tells_files_apart_but_not_their_names(collection, own_collection):
    (own, *_), (known, *_) = (find_cases("synthrad", one) for one in (own_collection, collection))
    assert content_of(own) == content_of(known)
    shutil.copy(own.ct, own.mr)
    assert content_of(own) != content_of(known)
    own.mr.unlink()
    assert len(stamps_of(own)) == 1
    assert content_of(own) != content_of(known)


def test_a_task_that_dies_refuses_its_case_and_the_rest_go_on(monkeypatch, collection, tmp_path):
    """A fake at Ray's edge: what it raises where a worker was killed for its memory."""
    from ray import exceptions

    def get(ref):
        if ref.case.subject == "Secret-1":
            raise exceptions.OutOfMemoryError("killed")
        return ref

    fake = types.SimpleNamespace(
        is_initialized=lambda: True, remote=lambda **_: lambda f: types.SimpleNamespace(remote=Ref),
        cluster_resources=lambda: {"CPU": 2.0}, wait=lambda refs: (refs[:1], refs[1:]), get=get,
        exceptions=exceptions,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "ray", fake)
    cases = find_cases("synthrad", collection)
    jobs = [Job(one, one.subject, "key", [], tmp_path, tmp_path, CONFIG) for one in cases]
    records = list(run_jobs(jobs, Tasks(address="auto")))
    assert len(records) == 4
    died = next(one for one in records if one.subject == "Secret-1")
    assert died.status == "refused"
    assert "its task died, also when tried again (OutOfMemoryError)" in died.reason


class Ref:
    def __init__(self, job):
        self.case, self.subject = job.case, job.subject
