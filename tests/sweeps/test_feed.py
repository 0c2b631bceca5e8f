"""A spool's way into a run: every epoch and every picture once, whatever breaks in between."""

import math
import re
from itertools import pairwise

import pytest
from mlflow.exceptions import MlflowException
from PIL import Image

from sweeps import spool
from sweeps.tracking import client_at
from sweeps.tracking.best import Best
from sweeps.tracking.feed import MOST, Feed

METRIC = "val/psnr"


def rows(first: int, last: int, **more: float) -> list[dict[str, float]]:
    return [{"epoch": n, "time": 1e9 + n, METRIC: 20.0 + n, **more} for n in range(first, last + 1)]


class Breaking:
    """A client whose call of one name is carried out, or not, and then fails."""

    def __init__(self, client, name: str, *, carried_out: bool) -> None:
        self._client, self._name, self._carried_out = client, name, carried_out

    def __getattr__(self, name: str):
        call = getattr(self._client, name)
        if name != self._name:
            return call

        def broken(*args, **kwargs):
            if self._carried_out:
                call(*args, **kwargs)
            raise MlflowException("the connection broke")

        return broken


@pytest.fixture
def client(tracking):
    return client_at(tracking)


@pytest.fixture
def run_id(client, tmp_path) -> str:
    name = tmp_path.name
    experiment = client.create_experiment(name, artifact_location=(tmp_path / "art").as_uri())
    return client.create_run(experiment).info.run_id


@pytest.fixture
def path(tmp_path):
    spool.begin(tmp_path / "spool" / "a.jsonl", "a key")
    return tmp_path / "spool" / "a.jsonl"


def steps(client, run_id, metric=METRIC) -> list[int]:
    return [point.step for point in client.get_metric_history(run_id, metric)]


@pytest.mark.parametrize("carried_out", [True, False])
def test_a_batch_whose_answer_was_lost_is_there_once(client, run_id, path, tmp_path, carried_out):
    feed = Feed(path, metric=METRIC)
    spool.add_epochs(path, rows(1, 3), carried=False)
    with pytest.raises(MlflowException):
        feed.send(Breaking(client, "log_batch", carried_out=carried_out), run_id, tmp_path)
    feed.doubt()
    spool.add_epochs(path, rows(4, 4), carried=False)
    feed.send(client, run_id, tmp_path)
    assert steps(client, run_id) == [1, 2, 3, 4]


def test_a_driver_killed_after_sending_sends_nothing_again(client, run_id, path, tmp_path):
    spool.add_epochs(path, rows(1, 3), carried=False)
    Feed(path, metric=METRIC).send(client, run_id, tmp_path)
    spool.add_epochs(path, rows(4, 5), carried=False)
    after = Breaking(client, "log_batch", carried_out=True)
    with pytest.raises(MlflowException):
        Feed(path, metric=METRIC).send(after, run_id, tmp_path)
    Feed(path, metric=METRIC).send(
        Breaking(client, "log_batch", carried_out=True), run_id, tmp_path
    )
    assert steps(client, run_id) == [1, 2, 3, 4, 5]


def test_epochs_trained_again_with_other_values_keep_their_first(client, run_id, path, tmp_path):
    """The folder and the stages were deleted: the spool is another one, as are its values."""
    spool.add_epochs(path, rows(1, 3), carried=False)
    feed = Feed(path, metric=METRIC)
    feed.send(client, run_id, tmp_path)
    path.unlink()
    spool.begin(path, "a key")
    later = [{**row, "time": row["time"] + 1e6, METRIC: 1.0} for row in rows(1, 4)]
    spool.add_epochs(path, later, carried=False)
    feed.send(client, run_id, tmp_path)
    values = [point.value for point in client.get_metric_history(run_id, METRIC)]
    assert values == [21.0, 22.0, 23.0, 1.0]


def test_no_epoch_is_split_over_two_calls(client, run_id, path, tmp_path):
    """Else a break between them would leave half an epoch, and the rest would not be missed."""
    many = {f"loss/{number}": 1.0 for number in range(300)}
    spool.add_epochs(path, rows(1, 7, **many), carried=False)
    calls = []

    class Counting(Breaking):
        def __getattr__(self, name):
            if name == "log_batch":
                return lambda run_id, metrics: calls.append(metrics)
            return getattr(self._client, name)

    Feed(path, metric=METRIC).send(Counting(client, "", carried_out=True), run_id, tmp_path)
    assert max(len(call) for call in calls) <= MOST
    assert [sorted({m.step for m in call}) for call in calls] == [[1, 2, 3], [4, 5, 6], [7]]


def test_what_is_not_finite_is_never_sent(client, run_id, path, tmp_path):
    spool.add_epochs(path, rows(1, 1, a=math.inf, b=-math.inf, c=math.nan, d=2.0), carried=False)
    Feed(path, metric=METRIC).send(client, run_id, tmp_path)
    assert client.get_run(run_id).data.metrics == {METRIC: 21.0, "d": 2.0}


def test_the_best_follows_the_epochs_and_the_branch_has_a_best_of_its_own(
    client, run_id, path, tmp_path
):
    feed = Feed(path, metric=METRIC, bests=(Best(), Best(since=2)))
    history = [
        {"epoch": n, "time": 1e9 + n, METRIC: value}
        for n, value in enumerate([24.0, 25.0, 22.0, 23.0, 23.0], 1)
    ]
    found = []
    for number in range(1, 6):
        spool.add_epochs(path, history[:number], carried=number <= 2)
        feed.send(client, run_id, tmp_path)
        metrics = client.get_run(run_id).data.metrics
        names = ("best/psnr", "best/epoch", "best_after_fork/psnr", "best_after_fork/epoch")
        found.append(tuple(metrics.get(name) for name in names))
    assert found == [
        (24.0, 1, None, None),
        (25.0, 2, None, None),
        (25.0, 2, 22.0, 3),
        (25.0, 2, 23.0, 4),
        (25.0, 2, 23.0, 4),
    ]
    assert steps(client, run_id, "best_after_fork/psnr") == [3, 4]


def add_picture(path, folder, epoch: int) -> None:
    name = f"panels/epoch-{epoch:04d}_head-1.png"
    (folder / "panels").mkdir(exist_ok=True)
    Image.new("RGB", (400, 100), (epoch, 0, 0)).save(folder / name)
    line = {"kind": "image", "epoch": epoch, "key": "val/panel_head-1", "path": name}
    spool.append(path, line)


def images(client, run_id) -> list[str]:
    return [item.path for item in client.list_artifacts(run_id, "images")]


@pytest.mark.parametrize("call", ["log_artifacts", "set_tag", "list_artifacts"])
@pytest.mark.parametrize("carried_out", [True, False])
def test_a_picture_whose_answer_was_lost_is_there_once(
    client, run_id, path, tmp_path, call, carried_out
):
    add_picture(path, tmp_path, 1)
    spool.add_epochs(path, rows(1, 1), carried=False)
    feed = Feed(path, metric=METRIC)
    with pytest.raises(MlflowException):
        feed.send(Breaking(client, call, carried_out=carried_out), run_id, tmp_path)
    feed.doubt()
    feed.send(client, run_id, tmp_path)
    Feed(path, metric=METRIC).send(client, run_id, tmp_path)
    assert len(images(client, run_id)) == 2  # whole and small
    assert steps(client, run_id) == [1]


def test_a_picture_that_a_kill_cut_off_is_sent_again(client, run_id, path, tmp_path):
    add_picture(path, tmp_path, 1)
    spool.add_epochs(path, rows(1, 1), carried=False)
    Feed(path, metric=METRIC).send(client, run_id, tmp_path)
    (half,) = (tmp_path / "art").rglob("*.png")
    whole = half.read_bytes()
    half.write_bytes(whole[:10])
    Feed(path, metric=METRIC).send(client, run_id, tmp_path)
    assert half.read_bytes() == whole
    assert len(images(client, run_id)) == 2


def test_a_picture_waits_for_its_epoch_and_then_looks_as_mlflow_would_name_it(
    client, run_id, path, tmp_path
):
    feed = Feed(path, metric=METRIC)
    add_picture(path, tmp_path, 1)
    feed.send(client, run_id, tmp_path)
    assert images(client, run_id) == []
    spool.add_epochs(path, rows(1, 1), carried=False)
    feed.send(client, run_id, tmp_path)
    ours = set(images(client, run_id))
    with Image.open(tmp_path / "panels" / "epoch-0001_head-1.png") as image:
        client.log_image(
            run_id, image, key="val/panel_head-1", step=1, timestamp=int((1e9 + 1) * 1000)
        )
    theirs = set(images(client, run_id)) - ours
    ours, theirs = (
        {re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", name) for name in names}
        for names in (ours, theirs)
    )
    assert ours == theirs
    assert len(ours) == 2
    assert client.get_run(run_id).data.tags["mlflow.loggedImages"] == "True"


def test_a_picture_that_an_earlier_version_sent_is_not_sent_again(client, run_id, path, tmp_path):
    for epoch in (1, 11):
        add_picture(path, tmp_path, epoch)
    spool.add_epochs(path, rows(1, 11), carried=False)
    with Image.open(tmp_path / "panels" / "epoch-0001_head-1.png") as image:
        client.log_image(run_id, image, key="val/panel_head-1", step=1, timestamp=5)
    theirs = set(images(client, run_id))
    Feed(path, metric=METRIC).send(client, run_id, tmp_path)
    ours = set(images(client, run_id)) - theirs
    assert len(ours) == 2
    assert all("val~panel_head-1+step+11+timestamp+" in name for name in ours)


@pytest.mark.parametrize("kept", [0, 33, 60])
def test_a_picture_that_a_power_cut_damaged_keeps_nothing_waiting(
    client, run_id, path, tmp_path, kept, caplog
):
    for epoch in (1, 2):
        add_picture(path, tmp_path, epoch)
    damaged = tmp_path / "panels" / "epoch-0001_head-1.png"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:kept] + b"\0" * (len(whole) - kept))
    spool.add_epochs(path, rows(1, 2), carried=False)
    Feed(path, metric=METRIC).send(client, run_id, tmp_path)
    assert all("+step+2+" in name for name in images(client, run_id))
    assert len(images(client, run_id)) == 2
    assert [r.message[: len(str(damaged))] for r in caplog.records] == [str(damaged)]


def test_a_picture_that_is_gone_keeps_no_epoch_waiting(client, run_id, path, tmp_path):
    line = {"kind": "image", "epoch": 1, "key": "val/panel_a", "path": "panels/gone.png"}
    spool.append(path, line)
    spool.add_epochs(path, rows(1, 2), carried=False)
    Feed(path, metric=METRIC).send(client, run_id, tmp_path)
    assert steps(client, run_id) == [1, 2]
    assert images(client, run_id) == []


def test_a_feed_learns_whose_history_it_carries_and_its_name_in_ray(client, run_id, path, tmp_path):
    feed = Feed(path, metric=METRIC)
    spool.add_epochs(path, rows(1, 1), carried=False)
    feed.send(client, run_id, tmp_path)
    assert (feed.carried, feed.ray_trial) == (False, "")
    spool.append(path, {"kind": "ray", "trial": "a1b2_00000"})
    spool.add_epochs(path, rows(2, 2), carried=True)
    feed.send(client, run_id, tmp_path)
    assert (feed.carried, feed.ray_trial) == (True, "a1b2_00000")


def test_a_quiet_spool_asks_the_server_nothing(client, run_id, path, tmp_path):
    spool.add_epochs(path, rows(1, 2), carried=False)
    feed = Feed(path, metric=METRIC)
    feed.send(client, run_id, tmp_path)
    feed.send(None, run_id, tmp_path)  # any call would fail
    assert all(a < b for a, b in pairwise(steps(client, run_id)))
