"""What a sweep keeps for people to look at: slices, a volume, histograms, the cases."""

import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from data_prep.schema import CASE_SCHEMA
from data_prep.shards import list_cases, read_slices, read_volumes
from pct.metrics.hu_errors import tissues
from pct.model import load_model
from pct.prediction.volume import predict_volume
from pct.preview import preview_hu
from pct.scoring.score import masks_in_view
from pct.validate import look
from sweeps.promotion.candidate import read_candidate, write_model
from sweeps.replay import copy_twin, forget
from sweeps.runner import Where
from sweeps.session import run_sweep
from tests.data_folder import make_data
from tests.sweeps.small_sweep import Swept, counted_epochs, sweep_of

FORKED = {
    "never": {"schedule": {"lambda_ngf": 0}},
    "ngf": {"schedule": {"lambda_ngf": {0: 20, 11: {"keep": 20, "drop": 0}}}},
}


@pytest.fixture(scope="module")
def swept(tmp_path_factory, phantom_data, tracking) -> Swept:
    sweep = sweep_of(tmp_path_factory.mktemp("evidence") / "sweep", phantom_data)
    with counted_epochs() as trained:
        result = run_sweep(sweep, tracking, Where(here=True))
    return Swept(sweep, result, trained)


@pytest.fixture(scope="module")
def best(swept, tmp_path_factory):
    job = next(job for job in swept.sweep.jobs if job.leaf == "ngf.drop")
    folder = tmp_path_factory.mktemp("model") / "model"
    write_model(read_candidate(job, swept.result.outcomes[job.leaf]), folder, note="")
    return load_model(folder)


def test_all_leaves_keep_slices_when_one_forks_the_epoch_after_it_and_every_tenth(
    tmp_path, phantom_data
):
    jobs = sweep_of(tmp_path / "sweep", phantom_data, FORKED, epochs=25).jobs
    assert {job.leaf: job.looks for job in jobs} == {
        "never": (10, 11, 12, 20, 25),
        "ngf.keep": (10, 11, 12, 20, 25),
        "ngf.drop": (10, 11, 12, 20, 25),
    }
    assert [job.snapshots for job in jobs] == [(10, 20, 25), *[(10, 11, 20, 25)] * 2]


@pytest.mark.parametrize("leaf", ["never", "ngf.keep", "ngf.drop", "same"])
def test_every_leaf_has_its_slices_at_each_look_and_at_its_best(swept, leaf):
    names = {path.name for path in (swept.sweep.folder / "looks" / leaf).iterdir()}
    assert names == {"best.npz", *(f"epoch-000{epoch}.npz" for epoch in range(1, 5))}


def test_branches_share_the_slices_of_their_trunk_and_part_at_the_fork(swept):
    keep, drop = (
        [np.load(swept.sweep.folder / "looks" / leaf / f"epoch-000{n}.npz") for n in (2, 3)]
        for leaf in ("ngf.keep", "ngf.drop")
    )
    for case in keep[0].files:
        np.testing.assert_array_equal(keep[0][case], drop[0][case])
        assert (keep[1][case] != drop[1][case]).any()


def test_the_slices_are_those_the_best_generator_makes_of_the_same_cases(swept, best, phantom_data):
    cases = np.load(swept.sweep.folder / "looks" / "cases.npz")
    kept = np.load(swept.sweep.folder / "looks" / "ngf.drop" / "best.npz")
    seen = look(best.generator, read_slices(phantom_data, "val"), best.run)
    assert sorted(kept.files) == [one.case for one in seen]
    for one in seen:
        np.testing.assert_allclose(kept[one.case], one.pct_hu, atol=0.51)
        np.testing.assert_array_equal(cases[f"{one.case}/ct_hu"], np.round(one.ct_hu))
        np.testing.assert_array_equal(cases[f"{one.case}/head"], one.head)
        np.testing.assert_allclose(cases[f"{one.case}/mr"], one.mr_unit, atol=1e-3)
        assert cases[f"{one.case}/pixel_mm"] == one.pixel_mm
        assert cases[f"{one.case}/z"] == one.z


def test_the_first_case_is_kept_in_3d_beside_its_pseudo_ct(swept, best, phantom_data):
    case = read_volumes(phantom_data, list_cases(phantom_data, "val")[0])
    folder = swept.sweep.folder / "volumes"
    ct, head = (nib.load(folder / f"{case.subject}_{name}.nii.gz") for name in ("ct", "head"))
    pct = nib.load(folder / "ngf.drop" / f"{case.subject}.nii.gz")
    want = preview_hu(predict_volume(best, case.mr, onto=case.ct.grid))
    np.testing.assert_allclose(pct.affine, ct.affine)
    np.testing.assert_allclose(pct.get_fdata(), want.array, atol=1)
    assert pct.shape == ct.shape == head.shape
    assert len(list((folder / "ngf.drop").iterdir())) == 1


def test_the_histograms_count_the_voxels_of_every_case(swept, phantom_data):
    table = pd.read_parquet(swept.sweep.folder / "histograms" / "ngf.drop.parquet")
    cases = list_cases(phantom_data, "val")
    assert sorted(table["case"].unique()) == cases
    for subject in cases:
        case = read_volumes(phantom_data, subject)
        for tissue, mask in tissues(case.ct.array, masks_in_view(case)[0].array).items():
            rows = table[(table["case"] == subject) & (table["tissue"] == tissue)]
            assert set(rows.groupby("quantity")["voxels"].sum()) == {mask.sum()}


def test_a_leaf_that_is_the_same_run_gets_the_same_evidence(swept):
    for kind in ("looks", "volumes", "panels"):
        one, two = (swept.sweep.folder / kind / leaf for leaf in ("same", "ngf.keep"))
        assert {p.name: p.read_bytes() for p in one.iterdir()} == {
            p.name: p.read_bytes() for p in two.iterdir()
        }
    one, two = (swept.sweep.folder / "histograms" / f"{n}.parquet" for n in ("same", "ngf.keep"))
    assert one.read_bytes() == two.read_bytes()


def test_the_case_table_lies_beside_the_results_and_nothing_temporary(swept, phantom_data):
    table = pd.read_parquet(swept.sweep.folder / "cases.parquet")
    assert list(table.columns) == CASE_SCHEMA.names
    pd.testing.assert_frame_equal(table, pd.read_parquet(phantom_data / "cases.parquet"))
    for kind in ("looks", "volumes", "panels", "histograms"):
        hidden = [p for p in (swept.sweep.folder / kind).rglob("*") if p.name.startswith(".")]
        assert hidden == []


def test_a_twin_in_a_sweep_of_an_earlier_version_is_copied_as_far_as_there_is_something(
    swept, tmp_path
):
    folder = tmp_path / "old"
    shutil.copytree(swept.sweep.folder, folder)
    for kind in ("looks", "histograms", "volumes"):
        shutil.rmtree(folder / kind)
    jobs = {j.leaf: j.model_copy(update={"folder": str(folder)}) for j in swept.sweep.jobs}
    (folder / "panels/ngf.keep/.epoch-0004_head-0.draw.png").write_bytes(b"cut off")
    forget(jobs["same"])
    copy_twin(jobs["same"], jobs["ngf.keep"], swept.result.outcomes["ngf.keep"])
    assert jobs["same"].scores.exists()
    assert not jobs["same"].histograms.exists()
    assert len(list(jobs["same"].panels.iterdir())) == 5


def test_another_data_set_in_the_folder_brings_its_own_cases(tmp_path, phantom_data, tracking):
    """Else new pseudo-CTs would be shown beside the CTs of the old data."""
    once = {"never": {"schedule": {"lambda_ngf": 0}}}
    run_sweep(sweep_of(tmp_path / "s", phantom_data, once, epochs=1), tracking, Where(here=True))
    other = make_data(tmp_path / "other", seed=50)
    run_sweep(sweep_of(tmp_path / "s", other, once, epochs=1), tracking, Where(here=True))
    cases, table = np.load(tmp_path / "s/looks/cases.npz"), read_slices(other, "val")
    (case,) = list_cases(other, "val")
    row = list(table.z).index(cases[f"{case}/z"])
    np.testing.assert_array_equal(cases[f"{case}/ct_hu"], table.ct_hu[row].clip(min=-1000))
    ct = nib.load(tmp_path / "s/volumes" / f"{case}_ct.nii.gz").get_fdata()
    np.testing.assert_array_equal(ct, preview_hu(read_volumes(other, case).ct).array)
