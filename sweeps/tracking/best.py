"""The best epoch so far, kept up to date while a trial runs."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Best:
    """The highest value of one metric in the epochs after `since`."""

    since: int = 0
    value: float = -math.inf
    epoch: int = 0

    def after(self, epoch: int, value: float) -> "Best":
        """With one more epoch; the first of equal values stays, NaN never counts."""
        if epoch <= self.since or not value > self.value:
            return self
        return replace(self, value=value, epoch=epoch)

    def metrics(self, metric: str) -> dict[str, float]:
        """`best/psnr` and `best/epoch`, or `best_after_fork/...`, where there is one yet."""
        if not self.epoch:
            return {}
        group = "best_after_fork" if self.since else "best"
        name = metric.removeprefix("val/")
        return {f"{group}/{name}": self.value, f"{group}/epoch": float(self.epoch)}
