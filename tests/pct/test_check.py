"""One check: its limits, what is not measured, and its words."""

from pct.prediction.check import held, notes, span, warnings


def test_limits_are_included_and_what_is_unknown_is_neither_warned_of_nor_well():
    at = {"low": 1.0, "high": 2.0}
    assert [held("x", value, "", **at).ok for value in (0.99, 1.0, 2.0, 2.01)] == [
        False, True, True, False,
    ]  # fmt: skip
    unknown = held("x", float("nan"), "no head", **at)
    assert (unknown.value, unknown.ok) == (None, None)
    assert warnings([unknown]) == []
    assert notes([unknown, held("y", 1.5, "fine", **at)]) == ["not measured: no head"]


def test_a_range_of_one_value_is_said_as_one():
    assert span(2.0, 2.004, ".2f") == "2.00"
    assert span(2.0, 2.006, ".2f") == "2.00 to 2.01"
