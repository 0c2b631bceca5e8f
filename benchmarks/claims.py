"""How often a claim is false, by simulation: python benchmarks/claims.py [STUDIES]

Every study trains two settings from some seeds and scores them on the same patients. A model has
an offset of its own (training anew moves all cases at once), a case a difficulty that both
settings share, a score some noise. Under the null the settings are equal. Printed is the share of
studies in which a difference was found at 5 %: by Wilcoxon over cases with the first model of each
arm, by the percentile interval of a two-level bootstrap, by `pct claim`, and by `pct claim` as it
pairs the seeds of branches of one trunk (here they have nothing in common, the worst case).
"""

import sys
from itertools import product
from pathlib import Path

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).parent.parent))

from pct.scoring.claims import compare

DESIGNS = tuple(product((3, 5), (6, 12, 39)))
SPREADS = ((0.0, 1.0), (0.3, 1.0), (1.0, 1.0), (1.0, 3.0))
"""SD of models and of noise."""


def percentile_finds(a, b, weights):
    """Whether the plain two-level percentile interval excludes zero."""
    of_a, of_b, of_patients = weights
    gaps = ((of_b @ b - of_a @ a) * of_patients).sum(axis=1)
    low, high = np.percentile(gaps, [2.5, 97.5])
    return low > 0 or high < 0


def rates(num_studies, *, seeds, patients, spread, effect=0.0):
    """Shares of studies in which each of the four finds a difference."""
    rng, draw = np.random.default_rng(5), np.random.default_rng(0)
    weights = [draw.multinomial(n, [1 / n] * n, size=2000) / n for n in (seeds, seeds, patients)]
    model_sd, noise_sd = spread
    found = []
    for _ in range(num_studies):
        easy = rng.normal(0, 3, patients)
        a, b = (
            easy + rng.normal(0, model_sd, (seeds, 1)) + rng.normal(0, noise_sd, (seeds, patients))
            for _ in range(2)
        )
        b += effect
        wilcoxon = stats.wilcoxon(a[0], b[0]).pvalue < 0.05
        claims = [compare(a, b, paired=paired).p < 0.05 for paired in (False, True)]
        found.append((wilcoxon, percentile_finds(a, b, weights), *claims))
    return np.mean(found, axis=0)


def main():
    num_studies = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(f"{num_studies} studies each; found at 5 %")
    print("effect  seeds  patients  model SD  noise SD  Wilcoxon  percentile  pct claim   paired")
    for effect, (seeds, patients), spread in product((0.0, 3.0), DESIGNS, SPREADS):
        if effect and spread != (1.0, 1.0):
            continue
        shares = rates(num_studies, seeds=seeds, patients=patients, spread=spread, effect=effect)
        cells = "  ".join(f"{100 * share:7.1f} %" for share in shares)
        print(
            f"{effect:6.1f}  {seeds:5}  {patients:8}  {spread[0]:8.1f}  {spread[1]:8.1f}  {cells}"
        )


if __name__ == "__main__":
    main()
