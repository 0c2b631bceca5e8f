"""Something done again and again beside other work."""

import time

import pytest

from sweeps.every import Every


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
