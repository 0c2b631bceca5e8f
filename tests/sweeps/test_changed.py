"""Why a leaf of an earlier session trains anew."""

from pathlib import Path

from sweeps.changed import why_anew, write_environment
from sweeps.job import failed, write_outcome
from sweeps.recipe import Leaf
from sweeps.records import write_jobs
from tests.sweeps.random_trees import jobs_of
from tests.tiny import tiny_run

KNOWN = {"data": "a" * 64, "numerics": 3, "torch": "2.13.0"}


def said(folder: Path, before, after, environment=KNOWN) -> list[str]:
    write_jobs(folder, jobs_of([Leaf(name, run, {}) for name, run in before.items()]))
    write_environment(folder, KNOWN)
    jobs = jobs_of([Leaf(name, run, {}) for name, run in after.items()])
    if environment != KNOWN:
        jobs = [job.model_copy(update={"base": "another"}) for job in jobs]
    return why_anew(folder, jobs, environment, set)


def test_the_first_session_and_an_equal_one_have_nothing_to_say(tmp_path):
    assert why_anew(tmp_path, jobs_of([Leaf("a", tiny_run(), {})]), KNOWN, set) == []
    assert said(tmp_path, {"a": tiny_run()}, {"a": tiny_run(), "b": tiny_run(seed=2)}) == []


def test_more_or_fewer_epochs_are_no_reason(tmp_path):
    assert said(tmp_path, {"a": tiny_run()}, {"a": tiny_run(epochs=9)}) == []
    assert said(tmp_path, {"a": tiny_run(epochs=9)}, {"a": tiny_run()}) == []


def test_other_data_other_code_and_another_torch_are_each_named(tmp_path):
    runs = {"a": tiny_run()}
    for name, value, told in (
        ("data", "b" * 64, "the data set (its digest) aaaaaaaaaaaa -> bbbbbbbbbbbb"),
        ("numerics", 4, "pct's arithmetic (NUMERICS) 3 -> 4"),
        ("torch", "2.14.0", "torch 2.13.0 -> 2.14.0"),
    ):
        (line,) = said(tmp_path, runs, runs, {**KNOWN, name: value})
        assert line == f"a: trained anew from epoch 1: {told}"


def test_changed_settings_are_named_with_both_values_and_all_their_leaves(tmp_path):
    before = {"a": tiny_run(), "b": tiny_run(seed=2), "c": tiny_run(seed=3)}
    after = {
        "a": tiny_run(batch=2, loss={"gan": "bce"}),
        "b": tiny_run(seed=2, batch=2, loss={"gan": "bce"}),
        "c": tiny_run(seed=3),
    }
    (line,) = said(tmp_path, before, after)
    old = tiny_run()
    assert line == (
        f"a, b: trained anew from epoch 1: batch {old.batch} -> 2; loss.gan {old.loss.gan} -> bce"
    )


def test_another_schedule_is_told_with_the_epoch_from_which_it_counts(tmp_path):
    before = {"a": tiny_run(schedule={"lambda_ngf": {0: 20, 4: 0}})}
    after = {"a": tiny_run(schedule={"lambda_ngf": {0: 20, 2: 0}})}
    (line,) = said(tmp_path, before, after)
    assert line.startswith("a: another schedule from epoch 3")


def test_a_longer_run_whose_stages_were_collected_is_told(tmp_path):
    (was,) = jobs_of([Leaf("a", tiny_run(), {})], folder=str(tmp_path))
    write_outcome(was, failed(was, "").model_copy(update={"status": "FINISHED"}))
    write_jobs(tmp_path, [was])
    jobs = jobs_of([Leaf("a", tiny_run(epochs=9), {})], folder=str(tmp_path))
    (line,) = why_anew(tmp_path, jobs, KNOWN, lambda keys: set())
    assert line == "a: trained anew from epoch 1: the store holds none of its stages any more"
    assert why_anew(tmp_path, jobs, KNOWN, {was.last_key}.intersection) == []
