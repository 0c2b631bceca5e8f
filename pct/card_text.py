"""`model_card.md`: what `model.json` and the scores beside it say, for a clinic's physicist."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from data_prep.atomic import renamed
from data_prep.words import counted
from pct.card_scores import score_lines
from pct.config import Run
from pct.describe import spans
from pct.markdown import bullets, plain, table

CARD = "model_card.md"

SCORES = "validation.parquet"
"""The validation scores that lie in a promoted model's folder, for the next candidate's gate."""

UNKNOWN = "not known"

_MADE_UP = re.compile("phantom|surrogate|synthetic", re.IGNORECASE)
"""In the ids of cases that are no patients."""

_ABOUT = {
    "site": "site",
    "scanner": "scanner",
    "field_t": "field strength, T",
    "sequence": "sequence",
    "registration": "registration of MR and CT",
}


def write_card(folder: Path) -> None:
    """Write `model_card.md` of the `model.json` and the scores, if any, that lie in the folder."""
    content = json.loads((folder / "model.json").read_text())
    scores = pd.read_parquet(folder / SCORES) if (folder / SCORES).exists() else None
    with renamed(folder / CARD) as temporary:
        temporary.write_text(model_card(content, scores), encoding="utf-8")


def model_card(content: Mapping[str, Any], scores: pd.DataFrame | None = None) -> str:
    """A model's card in Markdown, of the content of its `model.json` and its validation scores.

    What neither of them says is "not known" there, or left out.
    """
    card, grid = content["card"], content["grid"]
    run = Run.model_validate(content["run"])
    name = f"{card['trial']}@{card['epoch']}"
    parts = [
        [f"# Pseudo-CT model {_quoted(name)}", "", *_what(card)],
        ["## Limits", "", *_limits(card, run)],
        ["## Trained on", "", *_trained_on(card)],
        ["## The MR it expects", "", *_expects(card, run, grid)],
        ["## How it was trained", "", *_how_trained(card, run)],
        ["## Validation", "", *score_lines(scores, card)],
        ["## Notes", "", *_notes(card)],
        ["## Where it comes from", "", *_provenance(card, content.get("weights", {}))],
        ["## Use", "", *_use()],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _what(card: Mapping[str, Any]) -> list[str]:
    return [
        f"**{_quoted(card.get('intended_use', 'Its intended use is not known.'))}**",
        "",
        "A generator that turns an MR volume of a head into a pseudo-CT in HU, axial slice by "
        "axial slice: for research on radiotherapy that is planned on MR alone.",
    ]


def _limits(card: Mapping[str, Any], run: Run) -> list[str]:
    lines = [
        "Nothing here shows that it holds for another site, scanner, sequence, field strength, "
        "contrast agent, age or disease than those it was trained on (below).",
        "Heads only. The program looks for one head in the volume and takes it for granted that it "
        "is there; other parts of the body give nonsense without an error.",
        "Values from -1000 to 3000 HU only: metal, such as fillings, clips and stereotactic "
        "frames, does not come out as metal.",
        "A pseudo-CT shows what is likely, not what is there: a fracture, a craniotomy, calcified "
        "or air-filled tissue may be missing or made up.",
        "Slices are made one by one, so that edges may jitter from slice to slice.",
        "This program calculates no dose, and scores of images say little of dose.",
    ]
    if card.get("trained_on") and _made_up(card["trained_on"]) == len(card["trained_on"]):
        lines.insert(0, "**It has seen no patient**: going by their ids all its training cases "
                        "are phantoms or synthetic.")  # fmt: skip
    if run.background == "predicted":
        lines.append("Outside the head the generator may leave a faint fog instead of air.")
    return bullets(lines)


def _trained_on(card: Mapping[str, Any]) -> list[str]:
    cases, slices = card.get("cases", {}), card.get("slices", {})
    seen, prints = card.get("trained_on"), card.get("fingerprint", {})
    hidden = set(card.get("id_keys", ())) - {"keep"}  # a pseudonym tells nothing of its patient
    rows = [
        ("training cases", _maybe(prints.get("cases", cases.get("train")))),
        ("training slices", _maybe(slices.get("train"))),
        ("cases it has learnt from, with a given model's", _maybe(seen and len(seen))),
        (
            "of these phantoms or synthetic, by their ids",
            UNKNOWN if hidden else _maybe(seen and _made_up(seen)),
        ),
        ("validation cases", _maybe(cases.get("val"))),
        ("test cases, kept apart", _maybe(cases.get("test"))),
        ("outline of the head by", _counts(prints.get("masks", {}))),
    ]
    about = prints.get("about", {})
    rows += [(words, _counts(about.get(name, {}))) for name, words in _ABOUT.items()]
    return [
        *table(("what", "training data"), rows),
        "",
        "Ids that are pseudonyms do not tell a phantom. Contrast agent, age, sex, disease: "
        f"{UNKNOWN}.",
    ]  # fmt: skip


def _expects(card: Mapping[str, Any], run: Run, grid: Mapping[str, Any]) -> list[str]:
    side = grid["size"] * grid["pixel_mm"]
    seen = (
        f"It is resampled to {grid['size']} x {grid['size']} pixels of {grid['pixel_mm']:g} mm "
        f"every {grid['slice_mm']:g} mm, centred on the head"
        if run.geometry == "train"
        else f"It is seen at its own scale in tiles of {grid['size']} x {grid['size']} pixels"
    )
    inside = "the head" if run.data.mr_window == "head" else "the whole volume"
    beyond = (
        f"What lies outside this field of {side:g} x {side:g} mm, or outside the MR's own"
        if run.geometry == "train"
        else "What lies outside the MR's field of view"
    )
    air = " So is all that is further than 5 mm from the head." if run.background == "air" else ""
    return [
        f"One 3D volume, of any orientation. {seen}. Its intensities from percentile 1 to 99.9 of "
        f"{inside} become -1 to 1. {beyond}, is air in the pseudo-CT.{air}",
        "",
        *_ranges(card.get("fingerprint", {})),
    ]


def _ranges(prints: Mapping[str, Any]) -> list[str]:
    """What the training MRs and their CTs were like, from the fingerprint."""
    axes = ("left-right", "back-front", "foot-head")
    spacings = prints.get("mr_spacing_mm", [])
    measured = [
        *((f"MR spacing {axis}, mm", r) for axis, r in zip(axes, spacings, strict=False)),
        *((f"raw MR in the head, percentile {name[1:]}", r)
          for name, r in prints.get("mr_percentiles", {}).items()),
        *([("contrast: where p50 lies from p1 (0) to p99.9 (1)", prints["mr_contrast"])]
          if "mr_contrast" in prints else []),
        *((f"share of the head that is {name} in the CT", prints["hu_share"][name])
          for name in ("air", "soft", "bone") if name in prints.get("hu_share", {})),
    ]  # fmt: skip
    if not measured:
        return [
            f"What the MRs of its training were like is {UNKNOWN}: its card has no fingerprint."
        ]
    rows = [(words, *(f"{value:.4g}" for value in r)) for words, r in measured]
    values = ("lowest", "middle", "highest")
    return table(("of the training cases", *values), rows, numbers=values)


def _how_trained(card: Mapping[str, Any], run: Run) -> list[str]:
    net, loss = run.generator, run.loss
    size = f"{run.data.size} x {run.data.size} pixels, arm {run.data.arm}"
    rows = [
        ("generator", f"{net.kind}, channels {'-'.join(map(str, net.channels))}, "
                      f"{counted(net.num_res_units, 'residual unit')}, {net.norm} norm, "
                      f"head {net.head}"),
        ("slices", size),
        ("epochs", f"{card['epoch']} of {run.epochs}"),
        ("warm-up, with the MR as target", f"{run.warmup_epochs} epochs"),
        ("chosen by", f"{plain(run.select.metric)} {_number(card.get('value'))}"),
        ("batch, seed, workers", f"{run.batch}, {run.seed}, {run.workers}"),
        ("precision", run.precision),
        ("losses", f"GAN {loss.gan}; NGF {loss.ngf_form} over {loss.ngf_region}, against the "
                   f"{loss.ngf_against.upper()}, control {loss.ngf_control}; "
                   f"fill {loss.mask_fill}"),
        ("average of the weights", f"decay {run.ema_decay:g}" if run.ema_decay else "none"),
        ("started from", f"another model, digest {_quoted(run.init.digest)}"
                         if run.init else "random weights"),
    ]  # fmt: skip
    rows += [
        (f"{plain(name)}, by epochs", spans(steps, run.epochs)) for name, steps in run.schedule
    ]
    return table(("setting", "value"), rows)


def _notes(card: Mapping[str, Any]) -> list[str]:
    overridden = card.get("overridden") or []
    given = [overridden] if isinstance(overridden, str) else overridden
    lines = [f"**promoted against an objection**: {plain(objection)}" for objection in given]
    lines += [f"note: {plain(card['note'])}"] if card.get("note") else []
    opened, own = card.get("test_opened"), card.get("test_opened_for_it")
    if opened is None:
        lines.append(f"how often the test set of its data had been opened before: {UNKNOWN}")
    else:
        for_it = "" if own is None else f", for this model {counted(own, 'time')}"
        lines.append(
            f"its data's test set had been opened {counted(opened, 'time')} before{for_it}"
        )
    return bullets(lines)


def _provenance(card: Mapping[str, Any], weights: Mapping[str, str]) -> list[str]:
    software = ", ".join(f"{name} {version}" for name, version in card.get("software", {}).items())
    return table(("what", "value"), [
        ("weights, as the test ledger has them", _quoted(weights.get("digest"))),
        ("sha256 of generator.safetensors", _quoted(weights.get("sha256"))),
        ("training data", _quoted(card.get("data_digest"))),
        ("split", _quoted(card.get("split_sha"))),
        ("stage of the store", _quoted(card.get("stage"))),
        ("software", software or UNKNOWN),
    ])  # fmt: skip


def _use() -> list[str]:
    return [
        "MODEL is this folder, or `models:/pct@champion` while it is that.",
        "",
        "```",
        "pct predict MODEL --mr mr.nii.gz --to pct.nii.gz",
        "pct score MODEL --data DATA",
        "python -c \"import mlflow; mlflow.pyfunc.load_model('MODEL').predict('mr.nii.gz')\"",
        "```",
        "",
        "The last needs a promoted model, which has an `MLmodel` file. The first two take a folder "
        "that has `generator.safetensors` and `model.json`; neither runs code from it.",
    ]


def _made_up(ids: Iterable[str]) -> int:
    return sum(bool(_MADE_UP.search(one)) for one in ids)


def _counts(counts: Mapping[str, int]) -> str:
    shown = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{plain(name)} ({number})" for name, number in shown) or UNKNOWN


def _maybe(value: Any) -> str:
    return UNKNOWN if value is None else str(value)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else f"({UNKNOWN})"


def _quoted(value: Any) -> str:
    return UNKNOWN if not value else plain(str(value))
