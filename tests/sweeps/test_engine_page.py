"""The example on the engine's page runs as it stands."""

import re
from pathlib import Path

import torch

from sweeps.engine import tasks_of
from sweeps.store.store import Store
from sweeps.tree import build_tree, unique_epochs

PAGE = Path(__file__).parents[2] / "docs" / "engine.md"


def test_the_classifier_is_swept_as_the_page_says(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    trained = []
    counted = code.replace("finished += 1\n", "finished += 1; trained.append(finished)\n")
    scope = {"trained": trained}
    exec(compile(counted, str(PAGE), "exec"), scope)
    courses = [scope["steady"], scope["drop"]]
    assert len(trained) == unique_epochs(build_tree(courses)) == 25
    store = Store("stages")
    for task in tasks_of(courses):
        alone: dict[str, bytes] = {}
        scope["train"](task.course, 0, {}, lambda finished, files: alone.update(files))  # noqa: B023
        shared = store.get(task.course.key(20), "state.pt")
        assert shared == alone["state.pt"], task.course.name
    (tmp_path / "state.pt").write_bytes(shared)
    net = torch.load(tmp_path / "state.pt", weights_only=True)["net"]
    scope_net = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    scope_net.load_state_dict(net)
    right = (scope_net(scope["x"]).argmax(1) == scope["y"]).float().mean()
    assert right > 0.95
