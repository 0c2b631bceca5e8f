"""The whole chain by the command line: on the demo's phantoms, on real anatomy where at hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import SimpleITK

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
BIN = Path(sys.executable).parent

pytestmark = [pytest.mark.slow, pytest.mark.ray]


def pct(*words: str, cwd: Path, code: int = 0) -> str:
    """Run `pct` as a user does; its standard output and error together."""
    done = subprocess.run(
        [str(BIN / "pct"), *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_demo_runs_and_a_second_time_redoes_nothing(tmp_path):
    def demo() -> str:
        done = subprocess.run(
            ["sh", str(ROOT / "demo.sh"), str(BIN), "demo"], cwd=tmp_path, check=True,
            capture_output=True, text=True, timeout=1200, env={**os.environ},
        )  # fmt: skip
        return done.stdout

    first = demo()
    assert "15 epochs trained of 15 unique stage-epochs, 18 written" in first
    assert "is the champion now" in first
    stages = {p: p.stat().st_mtime_ns for p in (tmp_path / "demo" / "stages").rglob("*")}
    second = demo()
    assert "is the champion already: models:/pct@champion, version 1" in second
    assert "already, not again" in second, "the test set must not be opened twice"
    assert stages == {p: p.stat().st_mtime_ns for p in (tmp_path / "demo" / "stages").rglob("*")}
    series = SimpleITK.ImageSeriesReader()
    series.SetFileNames(series.GetGDCMSeriesFileNames(str(tmp_path / "demo" / "pct")))
    assert SimpleITK.GetArrayFromImage(series.Execute()).max() > 400
    mr, pseudo = (nib.load(tmp_path / "demo" / name) for name in ("mr.nii.gz", "pct.nii.gz"))
    assert pseudo.shape == mr.shape
    np.testing.assert_allclose(pseudo.affine, mr.affine, atol=1e-5)
    hu = np.asarray(pseudo.dataobj)
    assert hu.dtype == np.int16
    assert hu.min() < -900
    assert hu.max() > 400


@pytest.mark.skipif(not SHARED.exists(), reason="real anatomy is not at hand")
def test_the_chain_holds_on_bent_real_heads(tmp_path):
    make = [sys.executable, str(SHARED / "tools" / "make_cohort.py"), "cohort", "--cases", "10"]
    subprocess.run(
        [*make, "--size", "192", "--slices", "60"], cwd=tmp_path, check=True, timeout=600
    )
    pct("prep", "synthrad", "--from", "cohort", "--to", "DATA", cwd=tmp_path)
    told = pct("sweep", "demo", "--data", "DATA", "--to", "OUT", cwd=tmp_path)
    assert "15 epochs trained of 15 unique stage-epochs" in told
    scores = pd.read_parquet(tmp_path / "OUT" / "scores.parquet")
    assert set(scores["trial"]) == {"never", "ngf.keep", "ngf.drop"}
    assert set(scores["split"]) == {"val"}, "a sweep must not look at the test set"
    mae = scores[scores["metric"] == "mae_head"]["value"]
    assert mae.between(50, 400).all()
    # MR and CT of these heads are of two people, and so short a training copies the MR: mr_leak
    # comes out near the gate's limit, on either side of it (docs/proofs.md).
    pct("promote", "OUT", "--force", "--note", "surrogate heads", cwd=tmp_path)
    rows = json.loads(
        pct("score", "models:/pct@champion", "--data", "DATA", "--json", cwd=tmp_path).splitlines()[
            0
        ]
    )
    champion = {row["metric"]: row["mean"] for row in rows}
    best = scores[scores["trial"] == rows[0]["trial"].partition("@")[0]]
    assert champion["mae_head"] == pytest.approx(
        best[best["metric"] == "mae_head"]["value"].mean(), abs=1e-3
    )
    mr = "cohort/sub-003/mr.nii.gz"
    pct("predict", "models:/pct@champion", "--mr", mr, "--to", "pct.nii.gz", cwd=tmp_path)
    assert nib.load(tmp_path / "pct.nii.gz").shape == nib.load(tmp_path / mr).shape
    pct("report", "OUT", cwd=tmp_path)
    assert (tmp_path / "OUT" / "report.html").stat().st_size > 1e6


@pytest.mark.skipif(not SHARED.exists(), reason="real DICOM series are not at hand")
def test_a_real_mr_converts_and_a_tilted_ct_is_refused(tmp_path):
    mr, tilted = (SHARED / "data" / "dicom" / n for n in ("mr_tcia_pgbm001", "ct_ge_gantry_tilt"))
    pct("inspect", str(mr), "--to", "mr.nii.gz", cwd=tmp_path)
    assert nib.load(tmp_path / "mr.nii.gz").shape == (260, 320, 24)
    told = pct("inspect", str(tilted), cwd=tmp_path, code=2)
    assert "gantry tilt 18.5 degrees" in told
    assert "uneven gaps" in told
