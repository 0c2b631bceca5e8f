"""`pct store`: what it prints, what it refuses, how it ends."""

import json
import re
import time
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from pct import __main__ as command
from sweeps.store.refs import LeafRef, Ref, this_host, write_ref
from sweeps.store.store import Store
from tests.sweeps.random_store import HOUR, key_of, stamp

KEYS = [key_of(letter) for letter in "abcd"]


@pytest.fixture
def run(capsys, monkeypatch):
    """The command line with this verb, whether or not it is installed."""
    points = [EntryPoint("store", "sweeps.store.cli:store", "pct.verbs")]
    monkeypatch.setattr(command, "entry_points", lambda group: points)

    def call(*words: str) -> tuple[int, str, str]:
        code = command.main(["store", *words])
        out, err = capsys.readouterr()
        return code, re.sub(r"\x1b\[[0-9;]*m", "", out), err

    return call


@pytest.fixture
def store(tmp_path) -> Store:
    """Four stages of an hour ago: two of an unfinished leaf, one shared with another sweep's."""
    made = Store(str(tmp_path / "stages"), patience=0.2)
    for number, key in enumerate(KEYS):
        made.put(key, {"state.pt": bytes(1_000_000 * (number + 1))})
        for path in Path(made.root, key[:2], key).iterdir():
            stamp(path, time.time() - 2 * HOUR - number)
    for sweep, paths in {"s1": {"exp1": KEYS[:2], "exp2": KEYS[:2]}, "s2": {"x": KEYS[:1]}}.items():
        leaves = {name: LeafRef(keys=tuple(path), snapshots=()) for name, path in paths.items()}
        folder = tmp_path / "out" / sweep
        folder.mkdir(parents=True)
        write_ref(made, Ref(sweep=sweep, folder=str(folder), host=this_host(), leaves=leaves))
    return made


def test_ls_shows_each_stage_its_holders_and_why_it_stays(run, store):
    code, out, _ = run("ls", store.root)
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    shared = lines[KEYS[0][:12]]
    assert re.search(r"\b1\b.*exp1 \+2 .*1\.0 MB.*s1: exp1 has not", shared)
    assert re.search(r"\b2\b.*exp1 \+1 .*2\.0 MB", lines[KEYS[1][:12]])
    assert re.search(r" - +- .*4\.0 MB.*nobody's", lines[KEYS[3][:12]])
    assert "4 stages, 10.0 MB with 0 leftovers; 2 are nobody's; 3.0 MB must stay." in out
    assert max(map(len, out.splitlines())) <= 120


def test_ls_for_programs(run, store):
    code, out, _ = run("ls", store.root, "--json")
    shown = json.loads(out)
    assert code == 0
    stages = {stage["key"]: stage for stage in shown["stages"]}
    assert set(stages) == set(KEYS)
    first = stages[KEYS[0]]
    assert first["leaves"] == {"s1": ["exp1", "exp2"], "s2": ["x"]}
    assert (first["epoch"], stages[KEYS[2]]["epoch"]) == (1, None)
    assert stages[KEYS[2]]["kept_because"] is None
    assert 10_000_000 < shown["total_bytes"] < 10_010_000
    assert sum(stage["bytes"] for stage in shown["stages"]) == shown["total_bytes"]


def test_gc_lists_and_removes_only_when_told(run, store):
    before = set(store.keys())
    code, out, _ = run("gc", store.root)
    assert code == 0
    assert re.search(rf"{KEYS[2][:12]} +3\.0 MB .* in no sweep's refs", out)
    assert "2 would go, 7.0 MB. To remove them: --yes." in out
    assert set(store.keys()) == before
    code, out, _ = run("gc", store.root, "--yes")
    assert code == 0
    assert "2 of 2 removed, 7.0 MB won. 2 stages, 3.0 MB" in out
    assert set(store.keys()) == set(KEYS[:2])


def test_gc_with_a_budget_removes_the_oldest_until_it_fits(run, store):
    assert run("gc", store.root, "--budget", "9.5MB", "--yes")[0] == 0
    assert set(store.keys()) == set(KEYS[:3])
    code, _, err = run("gc", store.root, "--budget", "1MB", "--yes")
    assert code == 3
    assert "What must be kept is 3.0 MB, above the budget of 1.0 MB" in err
    assert set(store.keys()) == set(KEYS[:2])


def test_verify_tells_damage_and_sets_it_aside(run, store):
    assert run("verify", store.root)[:2] == (0, "4 stages read, 0 damaged\n")
    state = next(Path(store.root, KEYS[1][:2], KEYS[1]).glob("state*"))
    state.write_bytes(b"flipped")
    code, out, _ = run("verify", store.root)
    assert code == 3
    assert str(state) in out
    assert "4 stages read, 1 damaged\n" in out
    code, out, _ = run("verify", store.root, "--set-aside")
    assert (code, out.splitlines()[-1]) == (3, "4 stages read, 1 damaged and set aside")
    (why,) = Path(store.root).rglob("why.txt")
    assert "its content has changed" in why.read_text()
    assert run("verify", store.root)[:2] == (0, "3 stages read, 0 damaged\n")


@pytest.mark.parametrize("action", ["ls", "gc", "verify"])
def test_a_folder_that_is_no_store_is_refused_and_stays_as_it_is(run, tmp_path, action):
    code, out, err = run(action, str(tmp_path))
    assert (code, out) == (2, "")
    assert f"pct: {tmp_path}: no stage store" in err
    assert list(tmp_path.iterdir()) == []


def test_without_a_name_it_is_the_folder_stages_here(run, store, monkeypatch):
    monkeypatch.chdir(Path(store.root).parent)
    assert run("verify")[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ls", "--yes"), "--yes is for pct store gc"),
        (("verify", "--budget", "1GB"), "--budget is for pct store gc"),
        (("gc", "--json"), "--json is for pct store ls"),
        (("gc", "--set-aside"), "--set-aside is for pct store verify"),
        (("gc", "--budget", "much"), "'much' is no size. Write it as 500MB"),
        (("prune",), "'prune' is not one of 'ls', 'gc', 'verify'"),
    ],
)
def test_what_makes_no_sense_is_refused(run, store, words, said):
    action, *options = words
    code, _, err = run(action, store.root, *options)
    assert code == 2
    assert said in " ".join(re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯─]", "", err).split())


def test_help_says_what_each_word_does(run):
    code, out, _ = run("--help")
    assert code == 0
    for word in ("ls: list stages", "gc: remove what nobody needs", "--budget", "--set-aside"):
        assert word in " ".join(out.replace("│", " ").split())
