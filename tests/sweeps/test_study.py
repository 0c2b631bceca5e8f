"""DIR/study.db is of one search, and says what is wrong with it in one line."""

import shutil
import sqlite3

import pytest

from sweeps.search import study
from sweeps.search.space import Dimension
from sweeps.search.study import StudyTrouble
from tests.sweeps.made_up import OBJECTIVES, SPACE, STRAIGHT, points_of, run, search_of, table_of

TWO = {**SPACE, "bg": Dimension(low=1, high=100, log=True)}


@pytest.fixture(scope="module")
def two_points(tmp_path_factory, phantom_data):
    """A folder with a search of two points; not to be changed."""
    sweep = search_of(tmp_path_factory.mktemp("begun") / "s", phantom_data, points=2)
    run(sweep)
    return sweep.folder


@pytest.fixture
def begun(tmp_path, phantom_data, two_points):
    """A copy of it, and how to go on in it with other settings."""
    shutil.copytree(two_points, tmp_path / "s")

    def again(**settings):
        return search_of(tmp_path / "s", phantom_data, **{"points": 2, **settings})

    return again


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"minimise": OBJECTIVES[:1]},
            "objectives: there minimise val3d/mae_head, minimise val3d/edge_bone, "
            "here minimise val3d/mae_head.",
        ),
        (
            {"minimise": [], "maximise": ["val/psnr"]},
            "objectives: there minimise val3d/mae_head, minimise val3d/edge_bone, "
            "here maximise val/psnr.",
        ),
        (
            {"constrain": {"val3d/mr_leak": 0.2}},
            "constrain.val3d/mr_leak: there nothing, here at most 0.2.",
        ),
        (
            {"space": {**SPACE, "ngf": Dimension(low=2, high=100, log=True)}},
            "space.ngf: there 2 to 300 in log, here 2 to 100 in log.",
        ),
        (
            {"space": {**SPACE, "ngf": Dimension(low=2, high=300)}},
            "space.ngf: there 2 to 300 in log, here 2 to 300.",
        ),
        (
            {"space": {**SPACE, "switch": Dimension(low=1, high=3, step=2)}},
            "space.switch: there 1 to 3 by 1, here 1 to 3 by 2.",
        ),
        ({"space": TWO}, "space.bg: there nothing, here 1 to 100 in log."),
        ({"exhaust": ["switch"]}, "exhaust: there nothing, here switch."),
        ({"epochs": 5}, "What a point trains differs (trials, settings, seeds, data, or PyTorch)."),
        ({"trials": {"released": STRAIGHT}, "space": TWO}, "space.bg: there nothing"),
        ({"name": "other"}, "recipe: there search, here other."),
    ],
)
def test_a_study_of_another_search_is_refused_naming_what_differs(begun, settings, message):
    before = table_of(begun())
    with pytest.raises(StudyTrouble) as caught:
        points_of(begun(**settings))
    told = str(caught.value)
    assert message in told
    assert told.count(": there") <= 1
    assert told.endswith("choose another --to, or set it back.")
    assert table_of(begun()).equals(before)


def test_more_points_another_sampler_or_another_seed_go_on(begun):
    more = begun(points=4, sampler="random", seed=9)
    assert {name[:3] for name in run(more)} == {"p02", "p03"}


def test_a_study_locked_by_another_program_is_waited_for_and_then_told(begun, monkeypatch):
    monkeypatch.setattr(study, "WAIT_S", 0.1)
    sweep = begun()
    other = sqlite3.connect(sweep.folder / "study.db")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StudyTrouble, match=r"study.db: locked by another program .*Close what"):
        points_of(sweep)
    other.close()
    assert points_of(sweep).exhausted


def test_a_lock_while_the_search_runs_is_told_too(begun, monkeypatch):
    monkeypatch.setattr(study, "WAIT_S", 0.1)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    sweep = begun(points=3)
    points = points_of(sweep)
    other = sqlite3.connect(sweep.folder / "study.db")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StudyTrouble, match="locked by another program"):
        points.more()
    other.close()


@pytest.mark.parametrize("damage", ["noise", "cut", "empty", "emptied", "foreign"])
def test_a_damaged_study_is_told_with_a_remedy(begun, damage):
    sweep = begun()
    path = sweep.folder / "study.db"
    content = path.read_bytes()
    statements = {
        "emptied": "DELETE FROM studies",
        "foreign": "DELETE FROM study_user_attributes",
    }
    if damage in statements:
        with sqlite3.connect(path) as database:
            database.execute(statements[damage])
        database.close()
    else:
        broken = {"noise": b"no database" * 500, "cut": content[: len(content) // 3], "empty": b""}
        path.write_bytes(broken[damage])
    with pytest.raises(StudyTrouble, match=r"study.db: damaged or no study \(.+\)\. Put a copy"):
        points_of(sweep)


def test_a_half_made_study_of_a_killed_session_is_made_anew(tmp_path, phantom_data):
    sweep = search_of(tmp_path / "s", phantom_data, points=1)
    (sweep.folder / ".study.db.tmp").write_bytes(b"half")
    run(sweep)
    assert list(table_of(sweep)["state"]) == ["COMPLETE"]
