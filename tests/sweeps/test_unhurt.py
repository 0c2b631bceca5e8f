"""The comparison on which the tests of faults rest sees what it should."""

import torch

from tests.sweeps.unhurt import difference

STATE = {"net": [torch.ones(2), {"rng": (1, "s")}], "time": 1.0, "epoch": 3}


def test_equal_states_differ_nowhere_and_clocks_do_not_count():
    assert difference({**STATE, "time": 9.0}, STATE) == ""


def test_one_value_is_found_however_deep():
    almost = {**STATE, "net": [torch.tensor([1.0, 1.0000001]), {"rng": (1, "s")}]}
    assert difference(almost, STATE) == "state.net[0]"
    other = {**STATE, "net": [torch.ones(2), {"rng": (1, "t")}]}
    assert difference(other, STATE) == "state.net[1].rng[1]"


def test_what_is_missing_is_found():
    assert difference({"epoch": 3}, STATE) == "state"
    assert difference({**STATE, "net": [torch.ones(2)]}, STATE) == "state.net"
