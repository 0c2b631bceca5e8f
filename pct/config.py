"""One training run, validated whole: presets, overrides, and every mistake reported at once.

Light by contract: planning a sweep imports this without loading torch.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast, get_args

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from data_prep.errors import PctError
from pct.frozen import Frozen
from pct.learning import Augmentation, Given
from pct.loss_config import LossConfig, Schedules

NUMERICS = 3
"""Raised whenever the same run would give other numbers (kept by a golden-loss test)."""

PRESETS = Path(__file__).parent / "presets"


class BadConfig(PctError):
    """A setting that does not exist, has a wrong value, or contradicts another."""


Geometry = Literal["train", "native_tiles"]
Background = Literal["predicted", "air"]


class DataNeeds(Frozen):
    """What the run expects of its data folder, and how it scales intensities."""

    arm: Literal["resize", "crop"] = "resize"
    size: int = Field(256, ge=16, description="pixels along a side of a slice")
    mr_window: Literal["head", "volume"] = "head"
    """MR percentiles 1 and 99.9 of the head, or of the whole volume (thesis 2.2)."""


class GeneratorConfig(Frozen):
    """A MONAI U-Net in 2D: the thesis's (2.3.2), or one with attention gates (its outlook, 5.4)."""

    kind: Literal["unet", "attention_unet"] = "unet"
    """`attention_unet`: batch norm, and no residual units (Oktay et al., MIDL 2018)."""
    channels: tuple[int, ...] = Field((64, 128, 256, 512), min_length=2)
    num_res_units: int = Field(10, ge=0)
    head: Literal["conv", "raw"] = "conv"
    """`conv` adds a 1x1 convolution on full-width features; `raw` is MONAI's one-channel end."""
    norm: Literal["batch", "instance"] = "batch"

    @property
    def smallest(self) -> int:
        """Pixels along a side that leave the lowest level two to take a norm over."""
        return int(2 ** (len(self.channels) - 1)) + 1

    @model_validator(mode="after")
    def _has_no_setting_without_effect(self) -> "GeneratorConfig":
        if self.kind == "attention_unet" and (self.norm, self.num_res_units) != ("batch", 0):
            raise ValueError("kind attention_unet is built with norm: batch and num_res_units: 0")
        return self


class DiscriminatorConfig(Frozen):
    """Conditional PatchGAN at several scales (thesis 2.3.3; pix2pixHD, Wang et al. 2018)."""

    filters: int = Field(128, ge=1)
    layers: int = Field(4, ge=1)
    scales: int = Field(2, ge=1)

    @property
    def smallest(self) -> int:
        """Pixels along a side that leave the coarsest scale two to take a norm over."""
        return int(2 ** (self.scales - 1)) + 1


class Validation(Frozen):
    """The look at validation patients after each epoch."""

    slices: int = Field(8, ge=1)
    """Slices a patient, spread evenly over the head; 1 is the centre slice (thesis 2.5.1)."""


class Selection(Frozen):
    """Which epoch's generator is the run's best."""

    metric: Literal["val/psnr", "val/psnr_masked"] = "val/psnr_masked"


class Stop(Frozen):
    """End a run that has stopped to improve."""

    metric: Literal["val/psnr", "val/psnr_masked"] = "val/psnr"
    patience: int = Field(15, ge=1)
    min_delta: float = Field(0.02, ge=0)
    after: int = Field(70, ge=1)


class Run(Frozen):
    """Everything that defines one training."""

    epochs: int = Field(70, ge=1)
    seed: int = Field(1, ge=0)
    batch: int = Field(14, ge=1)
    """Slices a step over all workers; must divide by `workers`."""
    workers: int = Field(1, ge=1)
    threads: int = Field(1, ge=1)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    warmup_epochs: int = Field(2, ge=0)
    """Epochs with the MR itself as target (thesis 2.4.2), counted within `epochs`."""
    flip: float = Field(0.5, ge=0, le=1)
    """Chance of mirroring a pair left-right."""
    augment: Augmentation = Augmentation()
    ema_decay: float = Field(0.0, ge=0, lt=1)
    """Judge, select and promote a moving average of G's weights; 0: the weights themselves."""
    init: Given | None = None
    clip_norm: float = Field(0.0, ge=0)
    """Longest gradient of a step, of G and of D each; 0: any length."""
    adam_betas: tuple[float, float] = (0.9, 0.999)
    max_parameters: int = Field(200_000_000, ge=1)
    """Generator and discriminator of more than this together are refused before they are built."""
    geometry: Geometry = "train"
    """Of whole volumes, validated or predicted: training's grid, or tiles at native scale."""
    background: Background = "predicted"
    """Outside the head of a predicted volume: as the generator has it, or air."""
    data: DataNeeds = DataNeeds()
    generator: GeneratorConfig = GeneratorConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    loss: LossConfig = LossConfig()
    schedule: Schedules = Schedules()
    val: Validation = Validation()
    select: Selection = Selection()
    stop: Stop | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> "Run":
        problems = self._unshared()
        smallest = max(self.generator.smallest, self.discriminator.smallest)
        if self.data.size < smallest:
            problems.append(
                f"data.size {self.data.size} is below the {smallest} pixels that the networks "
                "need: take larger slices, fewer generator.channels or discriminator.scales"
            )
        if self.warmup_epochs >= self.epochs:
            problems.append(
                f"warmup_epochs {self.warmup_epochs} leaves none of {self.epochs} epochs"
            )
        if self.stop and self.stop.after >= self.epochs:
            problems.append(f"stop.after {self.stop.after} is not before epochs {self.epochs}")
        for name, steps in vars(self.schedule).items():
            if steps[-1][0] >= self.epochs:
                problems.append(
                    f"schedule.{name} changes after {steps[-1][0]} epochs, "
                    f"the run ends at {self.epochs}"
                )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _unshared(self) -> list[str]:
        """Why a batch cannot be shared out to the workers."""
        if self.batch % self.workers:
            return [f"batch {self.batch} does not divide by workers {self.workers}"]
        if self.loss.ngf_control == "shuffled" and self.batch < 2 * self.workers:
            return [
                "loss.ngf_control shuffled pairs slices of one worker's share, which batch "
                f"{self.batch} over {self.workers} workers makes a single slice"
            ]
        return []


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML 1.2 mapping; a duplicate key or a list at the top is a `BadConfig`."""
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise BadConfig(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise BadConfig(f"{path}: expected a mapping, found {type(content).__name__}.")
    return content


def preset_names() -> list[str]:
    """Names of the shipped presets."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def load_preset(name: str) -> dict[str, Any]:
    """The settings of a preset, its `base` chain merged in."""
    settings = preset_file(name)
    base = settings.pop("base", None)
    return merge(load_preset(base), settings) if base else settings


def preset_file(name: str) -> dict[str, Any]:
    """What a preset's own file says, `base` left as it is. An unknown name lists the known ones."""
    if name not in preset_names():
        raise BadConfig(f"no preset {name!r}{suggest(name, preset_names())}")
    return read_yaml(PRESETS / f"{name}.yaml")


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` over `below`: sections are merged key by key, schedules and values replaced whole."""
    merged = dict(below)
    for key, value in above.items():
        section = key in SECTIONS and isinstance(value, Mapping)
        old = merged.get(key)
        merged[key] = {**old, **value} if section and isinstance(old, Mapping) else value
    return merged


def parse_override(text: str) -> tuple[str, Any]:
    """`key=value` as (key, value), the value read as YAML 1.2."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise BadConfig(f"{text!r}: expected key=value, as in epochs=90.")
    try:
        return key.strip(), YAML(typ="safe", pure=True).load(value)
    except YAMLError as error:
        raise BadConfig(f"{text!r}: {' '.join(str(error).split())}") from error


def place(key: str, value: Any) -> dict[str, Any]:
    """Settings for one dotted key; names of schedules may stand alone (`lambda_ngf`)."""
    section, _, name = key.partition(".")
    if name:
        return {section: {name: value}}
    return {"schedule": {key: value}} if key in Schedules.model_fields else {key: value}


def build_run(settings: Mapping[str, Any]) -> Run:
    """Validate settings; `BadConfig` lists every mistake, a line each."""
    problems: list[str] = []
    run = try_run(settings, where="", problems=problems)
    if run is None:
        raise BadConfig("\n".join(problems))
    return run


def try_run(settings: Mapping[str, Any], *, where: str, problems: list[str]) -> Run | None:
    """As `build_run`, but append the mistakes to `problems`, each led by `where`, and go on."""
    try:
        return Run.model_validate(dict(settings))
    except ValidationError as error:
        for item in error.errors():
            path = [str(part) for part in item["loc"] if part != "tuple"]
            problems.append(f"{where}{_explain(path, item['type'], item['msg'], item['input'])}")
        return None


def validated(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings, quicker to validate again: sections as records, schedules as steps.

    As they are where they have a mistake, so that it is told wherever they are used.
    """
    run = try_run(settings, where="", problems=[])
    if run is None:
        return dict(settings)
    sound = {name: getattr(run, name) for name in run.model_fields_set}
    return {**sound, "schedule": dict(run.schedule)}


def _explain(path: list[str], kind: str, message: str, found: Any) -> str:
    key = ".".join(path)
    if kind == "extra_forbidden":
        known = fields_at(path[:-1])
        return f"{key}: no such setting{suggest(path[-1], known)}"
    message = message.removeprefix("Value error, ")
    shown = "" if not key or kind == "value_error" else f" (found {found!r})"
    return f"{key}: {message}{shown}" if key else message


SECTIONS = {
    name: field.annotation
    for name, field in Run.model_fields.items()
    if name in ("stop", "init")
    or (isinstance(field.annotation, type) and issubclass(field.annotation, Frozen))
}


def fields_at(path: list[str]) -> list[str]:
    """Names of the settings in a section; at the top, those of the schedules too."""
    if not path:
        return [*Run.model_fields, *Schedules.model_fields]
    annotation = SECTIONS.get(path[0])
    model = next(
        (t for t in (annotation, *get_args(annotation)) if hasattr(t, "model_fields")), None
    )
    return list(cast(type[Frozen], model).model_fields) if model else []


def suggest(name: str, known: list[str]) -> str:
    """End of a message about an unknown name: the nearest known one, or all of them."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f": did you mean {near[0]}?" if near else f"; known are {', '.join(known)}."
