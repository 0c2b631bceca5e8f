from pathlib import Path

from sweeps.place import look_command


def test_the_command_to_look_names_the_tracking_place_where_one_was_given():
    assert look_command(Path("out/s 1"), None) == "pct ui 'out/s 1'"
    assert (
        look_command(Path("OUT"), "http://mlflow:5000")
        == "pct ui OUT --tracking http://mlflow:5000"
    )
    assert "SECRET" not in look_command(Path("OUT"), "postgresql://u:SECRET@h/d")
