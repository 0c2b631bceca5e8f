"""Cases that cannot be used, from their voxels to the row, the picture and the page about them."""

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from data_prep.cli import inspect
from data_prep.errors import PctError
from data_prep.fingerprint import fingerprint, lines
from data_prep.metadata import BadInput
from data_prep.parquet import ShardError
from data_prep.pipeline import prepare
from data_prep.shards import read_case_table
from data_prep.sheets import write_sheets
from data_prep.sources import find_cases
from data_prep.volume import load_nifti, save_nifti


def spoil(mr, ct, name):
    """One fault a case: a NaN, an infinite voxel, one value only, nothing but air, no slice."""
    if name == "nan":
        mr[3, 4, 5] = np.nan
    if name == "infinite":
        ct[0, 0, 0] = np.inf
    if name == "constant":
        mr[:] = 7.0
    if name == "air":
        ct[:] = -1000.0
        ct[0, 0, 0] = -999.0
    if name == "dark":
        mr[:] = 0.0
        mr[32, 32, 12] = 900.0
    return mr, ct


@pytest.fixture(scope="module")
def faulty(made, collection, config, tmp_path_factory):
    """The four good cases, and others as `spoil` leaves them or with files that are none."""
    root = tmp_path_factory.mktemp("faulty")
    shutil.copytree(made, root / "data")
    shutil.copytree(made.with_name("data.private"), root / "data.private")
    patients = root / "collection"
    shutil.copytree(collection, patients)
    for name in ("nan", "infinite", "constant", "air", "dark", "torn", "lost"):
        sound = collection / "Secret-0"
        volumes = [load_nifti(sound / f"{which}.nii.gz") for which in ("mr", "ct")]
        arrays = spoil(*(one.array.astype(np.float32) for one in volumes), name)
        for which, volume, array in zip(("mr", "ct"), volumes, arrays, strict=True):
            save_nifti(volume.with_array(array), patients / name / f"{which}.nii.gz")
    for name, which in (("torn", "mr"), ("lost", "mr"), ("lost", "ct")):
        (patients / name / f"{which}.nii.gz").write_bytes(b"not an image")
    prepare(find_cases("synthrad", patients), root / "data", config)
    return root / "data"


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        ("nan", "MR: 1 of 98304 voxels are not finite"),
        ("infinite", "CT: 1 of 98304 voxels are not finite"),
        ("constant", "MR is constant; export it anew"),
        ("air", "no head in the CT: 0.00 litres"),
        ("dark", "no head"),
        ("torn", "MR: cannot be read as NIfTI"),
        ("lost", "MR: cannot be read as NIfTI"),
    ],
)
def test_a_faulty_case_is_listed_with_its_number_and_the_rest_go_on(faulty, subject, reason):
    rows = {row["subject"]: row for row in read_case_table(faulty).to_pylist()}
    assert rows[subject]["status"] == "refused"
    assert reason in rows[subject]["reason"]
    assert sum(row["status"] == "taken" for row in rows.values()) == 4


def test_what_can_be_read_of_a_refused_case_is_drawn(faulty):
    heights = {}
    for subject in ("nan", "infinite", "constant", "air", "dark", "torn"):
        with Image.open(faulty / "contact" / f"{subject}.png") as picture:
            heights[subject] = picture.height
            assert np.asarray(picture.convert("L")).std() > 20, f"{subject} shows something"
    one, two = 24 + 256 + 6, 24 + 2 * (256 + 6)
    assert heights.pop("torn") == one
    assert set(heights.values()) == {two}
    assert not (faulty / "contact" / "lost.png").exists()


class Page(HTMLParser):
    """The addresses of a page, and the order of its cases."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.statuses, self.text = [], [], text
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.addresses += [found[name] for name in ("src", "href") if name in found]
        if tag == "article":
            self.statuses.append(found["data-status"])


def test_the_page_of_sheets_needs_nothing_else_and_begins_with_the_refused(faulty, tmp_path):
    page = Page(write_sheets(faulty, tmp_path / "new" / "s.html").read_text(encoding="utf-8"))
    assert page.statuses == ["refused"] * 7 + ["taken"] * 4
    assert len(page.addresses) == 10
    assert all(one.startswith("data:image/jpeg;base64,") for one in page.addresses)
    assert not re.search(r"https?:|url\(|\$[a-z]+", page.text)
    assert "No picture: no image could be read" in page.text
    assert "7 refused, 4 taken; 2 train, 1 val, 1 test; 4 threshold" in page.text
    assert "<dt>flip margin</dt>" in page.text
    assert page.text.index("1 of 98304 voxels") < page.text.index("Secret-0")
    assert [item.name for item in (tmp_path / "new").iterdir()] == ["s.html"]


def test_a_picture_that_was_changed_is_not_shown(data, tmp_path):
    path = data / "contact" / "Secret-1.png"
    for spoilt in (lambda: path.write_bytes(b"other"), path.unlink):
        spoilt()
        with pytest.raises(ShardError, match=r"Secret-1\.png: damaged or gone\. Run `pct prep`"):
            write_sheets(data, tmp_path / "s.html")


def test_the_fingerprint_knows_tissues_sizes_and_who_is_left_out(faulty):
    facts = fingerprint(faulty)
    assert facts["split"] == "ranked"
    assert sum(facts["masks"].values()) == 4
    assert facts["ct_shape"] == [[64.0] * 3, [64.0] * 3, [24.0] * 3]
    shares = {name: one["share"] for name, one in facts["hu"].items()}
    assert shares["air"] + shares["soft"] + shares["bone"] == pytest.approx(1.0)
    voxels = sum(sum(one["histogram"]) for one in facts["hu"].values())
    assert voxels == 4 * 64 * 64 * 24
    assert 0 <= facts["hu"]["soft"]["median_hu"][1] <= 80
    assert facts["hu"]["outside"]["median_hu"][1] < -900
    low, middle, high = (facts["mr_percentiles"][name][1] for name in ("p1", "p50", "p99.9"))
    assert low < middle < high
    assert len(facts["remarks"]) == 7
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    told = lines(facts)
    assert any(line.startswith("soft, HU") and "of the head" in line for line in told)
    facts["remarks"] *= 5
    assert lines(facts)[-1] == "and 23 more: see --json or --sheets"


def test_inspect_writes_the_page_and_refuses_what_does_not_fit(data, tmp_path, capsys):
    inspect(data, sheets=tmp_path / "s.html")
    assert re.search(r"sheets -> .*s\.html \(\d\.\d MB\)$", capsys.readouterr().out.strip())
    with pytest.raises(BadInput, match="--to is for one DICOM series"):
        inspect(data, to=tmp_path / "x.nii.gz")
    with pytest.raises(PctError, match="--sheets is for a data folder"):
        inspect(tmp_path, sheets=tmp_path / "s.html")


def test_inspect_says_what_may_be_inspected_where_it_finds_nothing(data, tmp_path):
    for path, found in ((tmp_path / "none", "no such folder"), (data / "splits.json", "a file")):
        with pytest.raises(BadInput, match=f"{path.name}: {found}. Name a data folder .*or one DI"):
            inspect(path)
    (data / "manifest.json").unlink()
    with pytest.raises(BadInput, match=r"no finished data folder: it has no manifest\.json\. Run"):
        inspect(data)


def test_a_series_is_not_written_under_a_name_of_another_kind(tmp_path):
    with pytest.raises(BadInput, match=r"--to \S+/mr\.png: expected a name that ends in \.nii"):
        inspect(tmp_path, to=tmp_path / "mr.png")
