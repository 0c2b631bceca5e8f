from pathlib import Path

import pytest

from sweeps.place import look_command, masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg://pct:SECRET@db:5432/pct", "postgresql+psycopg://pct:***@db:5432/pct"),
        ("https://me:SE@CRET/1@host/x", "https://me:***@host/x"),
        ("postgresql://db/pct?user=a&password=SECRET&x=1", "postgresql://db/pct?user=a&password=***&x=1"),
        ("cannot reach http://u:SECRET@h: refused", "cannot reach http://u:***@h: refused"),
        ("sqlite:///out/mlflow.db", "sqlite:///out/mlflow.db"),
    ],
)  # fmt: skip
def test_passwords_are_masked(text, shown):
    assert masked(text) == shown


def test_the_command_to_look_names_the_tracking_place_where_one_was_given():
    assert look_command(Path("out/s 1"), None) == "pct ui 'out/s 1'"
    assert (
        look_command(Path("OUT"), "http://mlflow:5000")
        == "pct ui OUT --tracking http://mlflow:5000"
    )
    assert "SECRET" not in look_command(Path("OUT"), "postgresql://u:SECRET@h/d")
