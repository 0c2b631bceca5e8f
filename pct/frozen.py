"""What every record of settings is: closed to unknown keys and to later change."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Closed to unknown keys and to later change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
