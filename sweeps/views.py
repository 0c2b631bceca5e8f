"""A sweep's view in the MLflow UI: which trials, columns and charts its links open.

The UI keeps shared views as experiment tags (`mlflow.sharedViewState.KEY`, opened by
`?viewStateShareKey=KEY`). That form is not documented: where it fails a plain link serves.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from mlflow import MlflowClient
from mlflow.entities import Run

from sweeps.palette import PALETTE

TAG = "mlflow.sharedViewState."
PARAMS = ("switch_epoch", "lambda_ngf", "lambda_ngf_after", "ngf_alpha", "lambda_bg")
METRICS = ("best/epoch", "val3d/ssim_masked", "val3d/dice_hu250", "val3d/mae_head", "val3d/mr_leak")
CURVES = (
    "val/psnr_masked", "val/psnr", "val/ngf", "loss/ngf", "loss/g",
    "loss/d", "loss/gan", "loss/l1", "loss/bg", "val/ngf_ct",
)  # fmt: skip
COLOUR = "mlflow.runColor"
MOST_RUNS = 1000


@dataclass(frozen=True)
class Tracked:
    """A sweep as its tracking place knows it."""

    sweep: str
    experiment_id: str
    metric: str
    """The trials are selected by, as in `val/psnr_masked`."""


@dataclass(frozen=True)
class Logged:
    """What a sweep's trials have logged so far."""

    metrics: frozenset[str]
    params: frozenset[str]
    varied: frozenset[str]
    """Parameters that differ between trials."""
    pictures: tuple[str, ...]
    """Keys of the images of the first trial that has any."""
    last_picture: int
    """Step of its newest image."""


def trials_filter(sweep: str) -> str:
    """In MLflow's search language."""
    return f'tags.`pct.kind`="trial" and tags.`pct.sweep`="{sweep}"'


def trials_of(client: MlflowClient, tracked: Tracked) -> list[Run]:
    """The sweep's trials, oldest first; the first thousand of them."""
    return list(
        client.search_runs(
            [tracked.experiment_id],
            trials_filter(tracked.sweep),
            max_results=MOST_RUNS,
            order_by=["attributes.start_time ASC"],
        )
    )


def logged_by(client: MlflowClient, runs: Sequence[Run]) -> Logged:
    """Look through the trials for what there is to be shown."""
    params = {name for run in runs for name in run.data.params}
    varied = {name for name in params if len({run.data.params.get(name) for run in runs}) > 1}
    shown = [run.info.run_id for run in runs if "mlflow.loggedImages" in run.data.tags][:1]
    paths = [item.path for run_id in shown for item in client.list_artifacts(run_id, "images")]
    found = [match for path in paths if (match := _IMAGE.search(path))]
    return Logged(
        metrics=frozenset(name for run in runs for name in run.data.metrics),
        params=frozenset(params),
        varied=frozenset(varied),
        pictures=tuple(sorted({match["key"].replace("~", "/") for match in found})),
        last_picture=max((int(match["step"]) for match in found), default=0),
    )


_IMAGE = re.compile(r"images/(?P<key>[^/+%]+)[+%]step[+%](?P<step>\d+)[+%]")
"""The name under which `log_image` stores one."""


def order_of(tracked: Tracked, logged: Logged) -> str:
    """The metric to sort by: the best value of the selection metric, once there is one."""
    best = f"best/{tracked.metric.removeprefix('val/')}"
    return best if best in logged.metrics else tracked.metric


def view_state(tracked: Tracked, logged: Logged) -> dict[str, Any]:
    """Filter, order, columns and charts, in the UI's own words."""
    order = order_of(tracked, logged)
    params = [*PARAMS, *sorted(logged.varied - set(PARAMS))]
    columns = [f"params.`{name}`" for name in params if name in logged.params]
    columns += [f"metrics.`{name}`" for name in (order, *METRICS) if name in logged.metrics]
    curves = [name for name in dict.fromkeys((tracked.metric, *CURVES)) if name in logged.metrics]
    rest = sorted({_section(name) for name in logged.metrics - set(curves)})
    return {
        "searchFilter": trials_filter(tracked.sweep),
        "orderByKey": f"metrics.`{order}`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": [],
        "runsHiddenMode": "SHOW_ALL",  # by default charts show ten runs
        "isAccordionReordered": True,  # or the sections are sorted by name
        "hideEmptyCharts": True,
        "compareRunSections": [
            _shown("curves", "Curves", columns=2, cardHeight=320),
            _shown("panels", "Panels: MR, CT, pseudo-CT and error", columns=1, cardHeight=420),
            *(_shown(f"rest-{name}", name, open_=False) for name in rest),
        ],
        "compareRunCharts": [
            *map(_curve, curves),
            *(_picture(key, logged.last_picture) for key in logged.pictures),
        ],
    }  # fmt: skip


def share(client: MlflowClient, tracked: Tracked, logged: Logged) -> str:
    """Keep the sweep's view at its experiment; the key that opens it."""
    key = f"pct.{tracked.sweep}"
    state = json.dumps(view_state(tracked, logged), separators=(",", ":"))
    client.set_experiment_tag(tracked.experiment_id, TAG + key, state)
    return key


def paint(client: MlflowClient, runs: Sequence[Run]) -> None:
    """Give a few trials, or all seeds of a few settings, colours that differ.

    MLflow picks at random. A colour once set is kept.
    """
    names = [run.data.tags["pct.trial"] for run in runs]
    if len(names) > len(PALETTE):
        names = [name.partition("@")[0] for name in names]
    colours = dict(zip(dict.fromkeys(names), PALETTE, strict=False))
    if len(colours) < len(set(names)):
        return
    for run, name in zip(runs, names, strict=True):
        if COLOUR not in run.data.tags:
            client.set_tag(run.info.run_id, COLOUR, colours[name])


def shared_link(root: str, tracked: Tracked, key: str, *, charts: bool) -> str:
    """Opens the shared view, as a table or as charts."""
    mode = "CHART" if charts else "TABLE"
    return f"{_runs_page(root, tracked)}&viewStateShareKey={key}&compareRunsMode={mode}"


def plain_link(root: str, tracked: Tracked, order: str, *, charts: bool) -> str:
    """Opens the trials without a shared view; sorted by creation the charts would stay empty."""
    mode = "CHART" if charts else "TABLE"
    mine, by = quote(trials_filter(tracked.sweep)), quote(f"metrics.`{order}`", safe="")
    facets = f"&searchFilter={mine}&orderByKey={by}&orderByAsc=false"
    return f"{_runs_page(root, tracked)}{facets}&compareRunsMode={mode}"


def _runs_page(root: str, tracked: Tracked) -> str:
    """Without the workflow type a fresh browser shows the pages for language models."""
    page = f"{root.rstrip('/')}/#/experiments/{tracked.experiment_id}/runs"
    return f"{page}?workflowType=machine_learning"


def _section(metric: str) -> str:
    return metric.rpartition("/")[0] or "Model metrics"


def _shown(uuid: str, name: str, *, open_: bool = True, **size: int) -> dict[str, Any]:
    return {
        "uuid": uuid, "name": name, "display": open_, "isReordered": True, "deleted": False,
        "isGenerated": False, **size,
    }  # fmt: skip


def _card(kind: str, name: str, section: str, **own: Any) -> dict[str, Any]:
    return {
        "type": kind, "uuid": f"{section}-{name}", "metricSectionId": section, "deleted": False,
        "isGenerated": False, **own,
    }  # fmt: skip


def _curve(metric: str) -> dict[str, Any]:
    return _card(
        "LINE", metric, "curves", metricKey=metric, selectedMetricKeys=[metric],
        lineSmoothness=0, scaleType="linear", range={},
        xAxisKey="step", xAxisScaleType="linear", selectedXAxisMetricKey="", yAxisKey="metric",
        yAxisExpressions=[], ignoreOutliers=False, useGlobalXaxisKey=True,
        useGlobalLineSmoothing=True,
    )  # fmt: skip


def _picture(key: str, step: int) -> dict[str, Any]:
    """A case's panels side by side, opened at the newest epoch."""
    return _card("IMAGE", key, "panels", imageKeys=[key], step=step, showRunParams=False)
