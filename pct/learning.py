"""Settings of how a run learns, beside its losses: changed pairs, and a model to start from."""

from typing import Any

from pydantic import Field, model_validator

from pct.frozen import Frozen


class Augmentation(Frozen):
    """Limits of the random changes of a training pair, drawn anew for each; 0 is off."""

    rotate_deg: float = Field(0.0, ge=0, le=45)
    """Turn MR, CT and head alike by up to so many degrees to either side."""
    scale: float = Field(0.0, ge=0, le=0.5)
    """Size them by a factor of up to 1 +- this."""
    shift: float = Field(0.0, ge=0, le=0.5)
    """Move them by up to this share of the slice's side, along x and y."""
    gamma: float = Field(0.0, ge=0, le=1)
    """MR alone: to the power of exp(+- this), on the scale from darkest 0 to brightest 1."""
    bias: float = Field(0.0, ge=0, le=1)
    """MR alone: times exp of a smooth random field with this standard deviation at its knots."""


class Given(Frozen):
    """A model whose generator a run starts from; the optimisers, D and the average start anew."""

    model: str
    """Its folder, or an address as `pct predict` takes it."""
    digest: str = ""
    """Of its weights: part of the run's identity, filled in when the run begins."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        """`init: MODEL` is short for `init: {model: MODEL}`."""
        return {"model": given} if isinstance(given, str) else given
