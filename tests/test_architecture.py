"""House rules that a machine can keep: sizes, docstrings, who prints, who imports whom."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("data_prep", "pct", "sweeps", "dashboards")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MOST_LINES_OF_A_FILE = 300
MOST_LINES_OF_A_FUNCTION = 35
TEXT = {".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".sh", ".css", ".js", ".cfg", ""}

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def definitions(path: Path) -> Iterator[Definition]:
    """Functions, methods and classes; the insides of functions too."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, Definition):
            yield node


def public(path: Path) -> Iterator[Definition]:
    """What others may use: not inside a function, and no leading underscore on the way."""

    def below(body: list[ast.stmt]) -> Iterator[Definition]:
        for node in body:
            if isinstance(node, Definition) and not node.name.startswith("_"):
                yield node
                if isinstance(node, ast.ClassDef):
                    yield from below(node.body)

    return below(tree_of(path).body)


def lines_of(function: Function) -> int:
    """From `def` to the end, without the docstring."""
    whole = function.end_lineno - function.lineno + 1
    first = function.body[0]
    documented = ast.get_docstring(function, clean=False) is not None
    return whole - (first.end_lineno - first.lineno + 1 if documented else 0)


def committed() -> list[Path]:
    """Files under version control (all files but caches, where there is no git)."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.splitlines()
    found = [ROOT / name for name in names] or [*SOURCES, *TESTS, *ROOT.glob("*")]
    return [path for path in found if path.is_file() and path.suffix in TEXT]


def test_the_measures_see_what_they_should():
    assert {name_of(path).split("/")[0] for path in SOURCES} == set(PACKAGES)
    function = ast.parse(
        'def f(\n    a,\n):\n    """One.\n\n    Two.\n    """\n    return a\n'
    ).body[0]
    assert lines_of(function) == 4


@pytest.mark.parametrize("folder", [*PACKAGES, "tests"])
def test_no_file_is_longer_than_300_lines(folder):
    long = {
        name_of(path): count
        for path in (ROOT / folder).rglob("*.py")
        if (count := len(path.read_text().splitlines())) > MOST_LINES_OF_A_FILE
    }
    assert long == {}


@pytest.mark.parametrize("folder", PACKAGES)
def test_no_function_is_longer_than_35_lines(folder):
    long = {
        f"{name_of(path)}:{node.name}": count
        for path in (ROOT / folder).rglob("*.py")
        for node in definitions(path)
        if isinstance(node, Function)
        and (count := lines_of(node)) > MOST_LINES_OF_A_FUNCTION
        and path.name != "cli.py"
    }
    assert long == {}


def test_every_module_and_everything_public_says_what_it_is():
    silent = [name_of(path) for path in SOURCES if not ast.get_docstring(tree_of(path))]
    silent += [
        f"{name_of(path)}:{node.name}"
        for path in SOURCES
        for node in public(path)
        if not ast.get_docstring(node)
    ]
    assert silent == []


def test_only_the_command_line_prints():
    loud = [
        f"{name_of(path)}:{node.lineno}"
        for path in SOURCES
        if path.name not in ("cli.py", "__main__.py")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert loud == []


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


UNPICKLERS = {
    "pickle.load", "pickle.loads", "eval", "exec", "pd.read_pickle", "joblib.load",
    "cloudpickle.load", "cloudpickle.loads", "torch.jit.load", "torch.export.load",
    "yaml.load", "yaml.unsafe_load",
}  # fmt: skip
"""Calls that run code of the file they read."""


def test_nothing_is_unpickled():
    for path in SOURCES:
        for name, node in calls(path):
            where = f"{name_of(path)}:{node.lineno}"
            assert name not in UNPICKLERS, where
            options = {k.arg: ast.unparse(k.value) for k in node.keywords}
            assert options.get("weights_only", "True") == "True", where
            assert options.get("allow_pickle", "False") == "False", where
            if name == "torch.load":
                assert "weights_only" in options, where
            if name.endswith("np.load"):
                assert "allow_pickle" in options, where


def test_no_file_asks_to_unpickle_whatever_comes():
    """In documents, recipes and scripts too, where no call can be read."""
    asked = re.compile(r"weights_only\s*=\s*Fal" + r"se|allow_pickle\s*=\s*Tr" + r"ue")
    assert [name_of(path) for path in committed() if asked.search(path.read_text())] == []


def test_no_exception_is_caught_whatever_it_is():
    broad = [
        f"{name_of(path)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
    ]
    assert broad == []


def test_every_error_of_ours_is_one_that_a_user_can_mend():
    foreign = [
        f"{name_of(path)}:{node.name}"
        for path in SOURCES
        for node in definitions(path)
        if isinstance(node, ast.ClassDef)
        and node.name != "PctError"
        and any(
            ast.unparse(base) in ("Exception", "ValueError", "RuntimeError") for base in node.bases
        )
    ]
    assert foreign == []


def test_nothing_is_left_to_do():
    marks = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    left = [name_of(path) for path in committed() if marks.search(path.read_text())]
    assert left == []


def test_no_committed_file_names_a_folder_of_one_machine():
    roots = "|".join(("work", "tmp", "home", "root"))
    alone = re.compile(rf"(?<![\w.$~}}/>-])/(?:{roots})/\w")
    found = [
        f"{name_of(path)}:{number}"
        for path in committed()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if alone.search(line)
    ]
    assert found == []


def test_verbs_and_model_finders_are_there():
    from importlib.metadata import entry_points

    for group in ("pct.verbs", "pct.models"):
        points = entry_points(group=group)
        assert points
        for point in points:
            path = ROOT / (point.module.replace(".", "/") + ".py")
            assert point.attr in {node.name for node in public(path)}, point


def test_the_import_contracts_hold():
    command = Path(sys.executable).with_name("lint-imports")
    if not command.exists():
        pytest.fail(f"{command} is missing. Install the extra `dev`.")
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "5 kept, 0 broken" in done.stdout
