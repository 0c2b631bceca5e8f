"""Something done again and again beside other work."""

import threading
import time

import pytest

from data_prep.errors import PctError
from sweeps import every
from sweeps.every import Every, ends


def test_it_acts_meanwhile_and_once_more_at_the_end():
    acts = []
    with Every(0.05, lambda: acts.append(1)):
        time.sleep(0.4)
        meanwhile = len(acts)
    assert meanwhile >= 2
    assert len(acts) > meanwhile
    after = len(acts)
    time.sleep(0.2)
    assert len(acts) == after


def test_it_acts_a_last_time_though_the_work_breaks_off():
    acts = []
    with pytest.raises(KeyError), Every(60, lambda: acts.append(1)):
        raise KeyError
    assert acts == [1]


def test_an_action_that_does_not_end_is_left_behind(monkeypatch):
    monkeypatch.setattr(every, "PATIENCE_SECONDS", 0.2)
    released, began = threading.Event(), time.monotonic()
    with Every(0.01, lambda: released.wait(60)):
        time.sleep(0.1)
    assert time.monotonic() - began < 5
    released.set()


def test_bad_input_is_logged_once_and_tried_again(caplog):
    acts = []

    def act() -> None:
        acts.append(1)
        raise PctError("line 3 of the spool")

    with Every(0.05, act):
        time.sleep(0.3)
    assert len(acts) > 2
    assert [record.message for record in caplog.records] == ["line 3 of the spool"]


def test_what_ends_is_told_from_what_hangs():
    released, began = threading.Event(), time.monotonic()
    assert ends(lambda: None, seconds=60)
    assert not ends(lambda: released.wait(60), seconds=0.2)
    assert time.monotonic() - began < 5
    released.set()


def test_signs_of_life_are_waited_for():
    began = time.monotonic()
    assert ends(lambda: time.sleep(0.8), seconds=0.3, heard=time.monotonic)
    assert not ends(lambda: time.sleep(0.8), seconds=0.3, heard=lambda: began)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_raises_does_not_come_to_its_end():
    def act() -> None:
        raise KeyError

    assert not ends(act, seconds=60)
