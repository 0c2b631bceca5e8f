"""A sweep in words: what ran, what sharing saved, which trial was best, what was promoted."""

from collections.abc import Iterator

from dashboards.load import Sweep

TWINS_TOLD = 3


def summary(sweep: Sweep) -> str:
    """What ran, what sharing saved, which trial was best, what was promoted: in words."""
    return " ".join(_sentences(sweep))


def _sentences(sweep: Sweep) -> Iterator[str]:
    info, cases = sweep.info, sweep.info["data"].get("num_cases", {})
    counts = ", ".join(f"{cases.get(split, 0)} {split}" for split in ("train", "val", "test"))
    preset = f" from preset {info['preset']}" if info.get("preset") else ""
    yield f"Recipe {info['recipe']}{preset}: {len(sweep.trials)} trials on {counts} cases."
    yield _saving(info["epochs_written"], info.get("epochs_planned"), info["epochs_trained"])
    same = [trial for trial in sweep.trials if trial.same_as]
    for trial in same[:TWINS_TOLD]:
        yield f"{trial.trial} is the same run as {trial.same_as}: one training, two names."
    if len(same) > TWINS_TOLD:
        yield f"So are {len(same) - TWINS_TOLD} more: see the tables."
    yield _best(sweep)
    ended = {trial.trial: trial.status for trial in sweep.runs if trial.status != "FINISHED"}
    if ended:
        listed = ", ".join(f"{name} ({status})" for name, status in ended.items())
        yield f"Did not finish: {listed}; the reasons are under Trials."
    champion = info.get("champion")
    if champion:
        yield f"Promoted: {champion['trial']} as models:/pct/{champion['version']}."
    else:
        yield "No model has been promoted."


def _saving(written: int, planned: int | None, trained: int) -> str:
    planned = trained if planned is None else planned
    saved = written - planned
    share = f" ({saved / written:.0%})" if written else ""
    text = f"Their schedules add up to {written} epochs; sharing stages saved {saved}{share}"
    text += f", and {trained} were trained."
    if trained < planned:
        text += f" The other {planned - trained} were in the store already or did not run."
    return text


def _best(sweep: Sweep) -> str:
    metric = sweep.info["select"]["metric"]
    if not sweep.ranked:
        return "No trial finished with a value to select by."
    unit = " dB" if "psnr" in metric else ""
    best, *others = ((run, run.best_value or 0.0) for run in sweep.ranked)
    name, epoch = sweep.names_of(best[0]), best[0].best_epoch
    text = f"Best by {metric}: {name}, {best[1]:.2f}{unit} at epoch {epoch}"
    if others:
        run, value = others[0]
        text += f", {abs(best[1] - value):.2f}{unit} from the next, {sweep.names_of(run)}"
    return text + "."
