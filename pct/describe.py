"""A resolved run as a person reads it, section by section, with its cost; or for programs."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from pct.config import Run
from pct.cost import WORKING_SHARE, Cost
from pct.schedule import Steps


def as_json(run: Run, cost: Cost) -> dict[str, Any]:
    """The run's settings, and beside them the counts of `Cost`."""
    return {
        **run.model_dump(mode="json"),
        **asdict(cost),
        "training_bytes": cost.training_bytes,
    }


def as_text(run: Run, cost: Cost) -> list[str]:
    """Lines: what stands alone first, then a section each, then networks and memory."""
    settings = run.model_dump(mode="json")
    sections = {k: v for k, v in settings.items() if isinstance(v, dict) and k != "schedule"}
    lines = [_line(k, v) for k, v in settings.items() if k not in (*sections, "schedule")]
    for name, section in sections.items():
        lines += ["", name, *(_line(f"  {k}", v) for k, v in section.items())]
    lines += ["", "schedule, by epochs"]
    lines += [_line(f"  {name}", spans(steps, run.epochs)) for name, steps in run.schedule]
    return [*lines, "", *_cost(run, cost)]


def spans(steps: Steps, epochs: int) -> str:
    """A schedule in epochs counted from 1.

    >>> spans(((0, 20.0), (40, 0.0)), 70)
    '1-40: 20, 41-70: 0'
    """
    ends = [*(key for key, _ in steps[1:]), epochs]
    shown = [value if isinstance(value, str) else f"{value:g}" for _, value in steps]
    if len(steps) == 1:
        return shown[0]
    firsts = [key + 1 for key, _ in steps]
    return ", ".join(
        f"{first}-{last}: {value}" for first, last, value in zip(firsts, ends, shown, strict=True)
    )


def _cost(run: Run, cost: Cost) -> Iterator[str]:
    side, share = run.data.size, run.batch // run.workers
    yield f"networks, multiply-accumulates (MAC) of a forward pass over {side} x {side}"
    for name in ("generator", "discriminator"):
        parameters, macs = (getattr(cost, f"{name}_{what}") for what in ("parameters", "macs"))
        yield _line(f"  {name}", f"{parameters:,} parameters, {macs / 1e9:.3g} GMAC")
    bits = "bfloat16" if run.precision == "bfloat16" else "float32"
    yield ""
    yield f"memory of a training step, {share} slices a worker, {bits}: an estimate"
    yield _line("  states", f"{_mib(cost.state_bytes)}  weights, gradients, Adam")
    yield _line("  activations", f"{_mib(cost.activation_bytes)}  saved for the backward pass")
    working = cost.training_bytes - cost.state_bytes - cost.activation_bytes
    yield _line("  working", f"{_mib(working)}  {WORKING_SHARE:.0%} of the activations")
    yield _line("  together", _mib(cost.training_bytes))


def _line(name: str, value: object) -> str:
    if isinstance(value, list):
        value = " ".join(map(str, value))
    return f"{name:<24} {'-' if value is None else value}"


def _mib(count: int) -> str:
    return f"{count / 2**20:9,.1f} MiB"
