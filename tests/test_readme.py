"""The README keeps its word: its commands exist, its map is complete, its plan is right."""

import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from pct.__main__ import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PACKAGES = ("data_prep", "pct", "sweeps", "dashboards")


def command_lines() -> list[str]:
    """Every `pct ...` line of the README's code blocks, and every one in running text."""
    in_blocks = re.findall(r"^(?:\$ )?(pct [^#\n]+)", README, flags=re.MULTILINE)
    in_text = re.findall(r"`(pct [^`]+)`", README)
    return sorted({line.strip() for line in in_blocks + in_text})


def test_the_readme_has_commands_to_check():
    assert len(command_lines()) > 10


@pytest.mark.parametrize("line", command_lines())
def test_every_command_of_the_readme_exists_with_its_options(line, capsys):
    verb, *words = line.split()[1:]
    assert verb in {point.name for point in entry_points(group="pct.verbs")}
    assert main([verb, "--help"]) == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    for option in (word for word in words if word.startswith("--")):
        assert re.search(rf"{option}\b", shown), f"{line}: {option} is no option of {verb}"


def test_the_map_names_every_module_and_only_what_exists():
    rows = README.split("## Map")[1].split("Packages import downwards")[0]
    named = set(
        re.findall(
            r"`([\w./-]+)`",
            " ".join(r.split("|")[1] for r in rows.splitlines() if r.startswith("|")),
        )
    )
    modules = {
        str(path.relative_to(ROOT)) for package in PACKAGES
        for path in (ROOT / package).rglob("*.py") if path.name != "__init__.py"
    }  # fmt: skip
    assert modules - named == set(), "modules that the map leaves out"
    assert {name for name in named if not (ROOT / name).exists()} == set(), "names without a file"


def test_the_plan_in_the_readme_is_the_plan(capsys):
    assert main(["plan", "thesis"]) == 0
    assert capsys.readouterr().out.splitlines()[0] in README


@pytest.mark.parametrize("target", re.findall(r"^make (\w+)", README, flags=re.MULTILINE))
def test_every_make_target_of_the_readme_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
