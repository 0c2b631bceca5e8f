"""`pct ui` as a user runs it: one real MLflow server for all tests of this file."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from sweeps.listeners import listening
from sweeps.tracking import Place, client_at
from sweeps.views import TAG
from tests.sweeps.looked_at import SWEEP, tracked_sweep

START = """
import sys
from importlib.metadata import EntryPoint
from pct.__main__ import _application
app = _application({"ui": EntryPoint("ui", "sweeps.cli:ui", "pct.verbs")})
app(sys.argv[1:], prog_name="pct")
"""
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.services


@dataclass
class Ui:
    """A running `pct ui`."""

    program: subprocess.Popen
    port: int
    experiment: str
    folder: Path
    lines: list[str]

    def ask(self, method: str, path: str, host: str, body: object = None) -> tuple[int, bytes]:
        """One request as from a page at `host`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Host": host, "Origin": f"http://{host}", "Content-Type": "application/json"}
        connection.request(method, path, body and json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    @property
    def search(self) -> tuple[str, str, dict]:
        """What the runs table asks for."""
        return "POST", "/ajax-api/2.0/mlflow/runs/search", {"experiment_ids": [self.experiment]}


@pytest.fixture(scope="module")
def ui(tmp_path_factory):
    base = tmp_path_factory.mktemp("looked")
    place = Place(f"sqlite:///{base / 'mlflow.db'}", base / "artifacts")
    experiment = tracked_sweep(base / "sweep", client_at(place), place.artifacts)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    words = ["ui", str(base / "sweep"), "--port", str(port), "--allowed-hosts", "mlflow-svc"]
    words += ["--allowed-hosts", "gate:8443"]
    program = subprocess.Popen(
        [sys.executable, "-c", START, *words], stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"},
    )  # fmt: skip
    lines = []
    for line in program.stdout:
        lines.append(line.rstrip())
        if "Ctrl-C" in line:
            break
    try:
        yield Ui(program, port, experiment, base / "sweep", lines)
    finally:
        program.send_signal(signal.SIGINT)
        program.wait(60)


def test_two_links_are_printed_under_the_name_it_is_reached_by(ui):
    assert ui.lines[0] == f"{SWEEP}: 3 trials, sorted by best/psnr_masked"
    for line, word, mode in zip(
        ui.lines[1:3], ("table", "charts"), ("TABLE", "CHART"), strict=True
    ):
        assert re.match(rf"  {word} +http://mlflow-svc:{ui.port}/#/experiments/\d+/runs\?", line)
        assert line.endswith(f"&viewStateShareKey=pct.{SWEEP}&compareRunsMode={mode}")


def test_the_server_gives_the_view_to_those_who_ask(ui):
    client = MlflowClient(tracking_uri=f"http://127.0.0.1:{ui.port}")
    state = json.loads(client.get_experiment(ui.experiment).tags[f"{TAG}pct.{SWEEP}"])
    assert "metrics.`best/psnr_masked`" in state["selectedColumns"]
    assert state["runsHiddenMode"] == "SHOW_ALL"


def test_the_installed_interface_still_knows_the_words_of_the_view(ui):
    """The form is not documented; this fails when an MLflow update drops it."""
    import mlflow

    scripts = Path(mlflow.__file__).parent / "server" / "js" / "build" / "static" / "js"
    whole = "".join(path.read_text(encoding="utf-8") for path in scripts.glob("*.js"))
    for word in (
        TAG, "viewStateShareKey", '.get("workflowType")', 'MACHINE_LEARNING="machine_learning"',
        "selectedColumns", "runsHiddenMode", "compareRunSections", "compareRunCharts",
        "isAccordionReordered", 'SHOWALL="SHOW_ALL"', 'LINE="LINE"', 'IMAGE="IMAGE"',
        "imageKeys", "metricSectionId", "cardHeight", "mlflow.runColor", "compareRunsMode",
    ):  # fmt: skip
        assert word in whole, word


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost:8000", "mlflow-svc", "gate:8443"])
def test_names_that_are_allowed_are_served_also_from_their_own_pages(ui, name):
    host = name if ":" in name else f"{name}:{ui.port}"
    method, path, body = ui.search
    assert ui.ask(method, path, host, body)[0] == 200


@pytest.mark.parametrize("name", ["evil.example", "10.0.0.1", "mlflow-svc.evil.example"])
def test_other_names_are_refused_though_health_says_all_is_well(ui, name):
    method, path, body = ui.search
    assert ui.ask(method, path, f"{name}:{ui.port}", body)[0] == 403
    assert ui.ask("GET", "/health", f"{name}:{ui.port}")[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "http://mlflow-svc.evil.example"])
def test_pages_of_others_cannot_change_or_read_anything(ui, origin):
    connection = http.client.HTTPConnection("127.0.0.1", ui.port, timeout=30)
    headers = {"Origin": origin, "Content-Type": "application/json"}
    body = json.dumps({"experiment_id": ui.experiment})
    connection.request("POST", "/api/2.0/mlflow/experiments/delete", body, headers)
    answer = connection.getresponse()
    assert answer.status == 403
    answer.read()
    connection.request(
        "GET", "/ajax-api/2.0/mlflow/experiments/get?experiment_id=1", headers=headers
    )
    assert connection.getresponse().headers["Access-Control-Allow-Origin"] is None


def test_pictures_come_through_the_server(ui):
    client = MlflowClient(tracking_uri=f"http://127.0.0.1:{ui.port}")
    run = client.search_runs([ui.experiment], "tags.`pct.trial` = 'ngf.keep'")[0].info.run_id
    paths = [i.path for i in client.list_artifacts(run, "images") if i.path.endswith(".png")]
    assert len(paths) == 2
    for path in paths:
        query = f"/get-artifact?path={path.replace('+', '%2B')}&run_uuid={run}"
        status, content = ui.ask("GET", query, f"127.0.0.1:{ui.port}")
        assert (status, content[:4]) == (200, b"\x89PNG")


def test_nobody_listens_beyond_loopback(ui):
    found = listening(ui.program.pid)
    assert ("127.0.0.1", ui.port) in found
    assert {host for host, _ in found} == {"127.0.0.1"}


def test_a_second_ui_asks_the_first_where_told_so_and_starts_no_server(ui):
    before = len(psutil.Process(ui.program.pid).children(recursive=True))
    words = ["ui", str(ui.folder), "--tracking", f"http://me:SECRET@127.0.0.1:{ui.port}/"]
    done = subprocess.run(
        [sys.executable, "-c", START, *words], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert f"  table   http://127.0.0.1:{ui.port}/#/experiments/" in done.stdout
    assert "Ctrl-C" not in done.stdout
    assert "SECRET" not in done.stdout + done.stderr
    assert len(psutil.Process(ui.program.pid).children(recursive=True)) == before


def test_ctrl_c_ends_it_with_its_server(ui):
    """The last test of this file: the server is gone after it."""
    family = [psutil.Process(ui.program.pid)]
    family += family[0].children(recursive=True)
    assert len(family) >= 3
    ui.program.send_signal(signal.SIGINT)
    assert ui.program.wait(60) == 0
    psutil.wait_procs(family, timeout=5)
    assert not [p for p in family if p.is_running()]
    with socket.create_server(("127.0.0.1", ui.port)):
        pass
