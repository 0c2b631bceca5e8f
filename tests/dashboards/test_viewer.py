"""The interactive viewer: what the page carries, and that a browser opens it without a network."""

import base64
import gzip
import importlib.util
import io
import re
from importlib.metadata import PackageNotFoundError

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from sweep_folder import trial_row, write_table
from volumes_folder import write_volumes

from dashboards.load import load_sweep
from dashboards.page import POLICY
from dashboards.volumes import niivue
from dashboards.volumes.niivue import NoNiivue, niivue_script, packed, with_class
from dashboards.volumes.viewer import COARSE_HU, viewer_html
from data_prep.volume import load_nifti
from tests.browser import CHROMIUM, browser

BUNDLE = (
    'let a;console.log("Creating new Niivue instance");let o={},c=f(o);a=new N$(c)}'
    "export{w as default};\n"
)
installed = pytest.mark.skipif(
    importlib.util.find_spec("ipyniivue") is None, reason="the extra `report` is not installed"
)


@pytest.fixture
def with_volumes(sweep_dir):
    write_volumes(sweep_dir)
    return sweep_dir


def without_package(monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(niivue, "distribution", absent)


def embedded(html, name):
    """Each embedded file of that name, unpacked."""
    found = re.findall(rf'<script type="text/plain" data-packed="{name}">([^<]*)</script>', html)
    return [gzip.decompress(base64.b64decode(text)) for text in found]


def test_the_bundles_class_is_handed_out_in_place_of_its_export():
    assert with_class(BUNDLE, version="9").endswith(
        'a=new N$(c)}document.dispatchEvent(new CustomEvent("niivue",{detail:N$}));\n'
    )


@pytest.mark.parametrize(
    "source",
    [
        "",
        BUNDLE.replace("as default", "as widget"),
        BUNDLE.replace("Creating new", "A"),
        "import x from 'y';" + BUNDLE,
        BUNDLE.replace("let a", "let a=import.meta.url"),
    ],
)
def test_a_package_of_another_form_is_refused_by_its_version(source):
    with pytest.raises(NoNiivue, match=r"ipyniivue 9: .* not of the form known.*Install ipyniivue"):
        with_class(source, version="9")


def test_without_the_package_the_page_says_in_a_line_how_to_get_it(with_volumes, monkeypatch):
    without_package(monkeypatch)
    html = viewer_html(load_sweep(with_volumes))
    assert html.startswith('<p class="note">ipyniivue')
    assert "pip install &#x27;pct-sweeps[report]&#x27;" in html
    assert "script" not in html.replace("ipyniivue", "")


def test_without_volumes_there_is_no_viewer(sweep_dir, monkeypatch):
    without_package(monkeypatch)
    assert viewer_html(load_sweep(sweep_dir)) == ""


def test_packing_always_gives_the_same_bytes():
    assert packed("let a") == packed("let a")
    assert gzip.decompress(packed("let ä")) == "let ä".encode()


@installed
def test_the_script_names_its_licence_and_imports_nothing():
    script = niivue_script()
    assert "BSD 2-Clause License" in script[:200]
    assert script.endswith("}));\n")
    assert not re.search(r"^import\b|^export\b|\bimport\.meta\b|</script", script, re.MULTILINE)


@installed
def test_the_page_carries_ct_the_best_runs_and_the_head(with_volumes):
    html = viewer_html(load_sweep(with_volumes), num_trials=2)
    assert re.findall(r"<option>(.*?)</option>", html) == ["exp.keep = always", "never"]
    assert "1 more in" in html
    ct, best, other, head = (
        np.asarray(nib.Nifti1Image.from_bytes(file).dataobj) for file in embedded(html, "volume")
    )
    volumes = with_volumes / "volumes"
    inside = load_nifti(volumes / "p01_head.nii.gz").array > 0
    assert (head == inside).all()
    for name, array in (("p01_ct", ct), ("exp.keep/p01", best), ("never/p01", other)):
        stored = load_nifti(volumes / f"{name}.nii.gz").array
        assert (array == stored)[inside].all(), name
        assert np.abs(array - stored).max() <= COARSE_HU / 2
        assert array.dtype == np.int16


@installed
def test_the_voxels_begin_where_the_script_looks_for_them(with_volumes):
    html = viewer_html(load_sweep(with_volumes))
    offset = int(re.search(r"NIFTI_DATA = (\d+)", html)[1])
    for file in embedded(html, "volume"):
        image = nib.Nifti1Image.from_bytes(file)
        assert image.dataobj.offset == offset
        assert image.dataobj.slope == 1.0
        assert image.dataobj.inter == 0.0


@installed
def test_the_viewer_asks_for_nothing_and_names_cannot_break_it(sweep_dir):
    write_table(sweep_dir, "trials.parquet", [trial_row("<b>&", [], best_value=1.0)])
    write_volumes(sweep_dir, {"<b>&": -1000.0})
    html = viewer_html(load_sweep(sweep_dir))
    assert "<option>&lt;b&gt;&amp;</option>" in html
    rest = re.sub(r"<script type=.*?</script>", "", html)
    assert not re.findall(r"https?://|src=|href=|url\(|@import", rest)


def pixels(page, selector: str, mode: str = "L") -> np.ndarray:
    png = page.picture(page.area(selector))
    return np.asarray(Image.open(io.BytesIO(png)).convert(mode), float)


def choose(page, name, change):
    page.run(
        f"(() => {{ const it = document.querySelector('[name={name}]'); {change};"
        "it.dispatchEvent(new Event('change')); })()"
    )
    page.run("new Promise((done) => setTimeout(done, 400))")


@pytest.fixture
def opened(with_volumes, tmp_path):
    """The viewer, opened from a file under the report's own policy."""
    path = tmp_path / "page.html"
    path.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"></head><body>'
        f"{viewer_html(load_sweep(with_volumes))}</body></html>"
    )
    with browser(width=760, height=600, webgl=True) as page:
        page.listen()
        page.open(path.as_uri())
        page.run("document.querySelector('#viewer3d button').click()")
        page.wait("document.querySelector('[role=status]').textContent !== 'Unpacking ...'")
        yield page


@pytest.mark.services
@installed
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_a_browser_shows_linked_volumes_from_the_file_alone(opened):
    status = "document.querySelector('[role=status]').textContent"
    assert opened.run(status) == "CT of 52 x 64 x 56 voxels, pCT of 52 x 64 x 56."
    left, right = "figure:nth-of-type(1) canvas", "figure:nth-of-type(2) canvas"
    before = [pixels(opened, canvas) for canvas in (left, right)]
    assert all(picture.std() > 20 for picture in before)

    place = "document.querySelector('.viewer-place').textContent"
    assert "CT 40 HU, pCT 40 HU, difference 0 HU" in opened.run(place)
    for _ in range(16):  # 64 mm up, from the brain into the skull
        opened.press("ArrowUp")
    assert "CT 1100 HU, pCT 900 HU, difference -200 HU" in opened.run(place)
    after = [pixels(opened, canvas) for canvas in (left, right)]
    assert all(np.abs(a - b).mean() > 1 for a, b in zip(before, after, strict=True))

    choose(opened, "difference", "it.checked = true")
    coloured = pixels(opened, right, "RGB")
    assert (np.ptp(coloured, axis=2) > 60).sum() > 2000  # the skull, 200 HU too low
    choose(opened, "difference", "it.checked = false")

    choose(opened, "window", "it.value = '-1024 -600'")
    clear = pixels(opened, right)
    choose(opened, "trial", "it.selectedIndex = [...it.options].findIndex(o => o.text === 'never')")
    foggy = pixels(opened, right)
    assert foggy.mean() > clear.mean() + 20
    choose(opened, "view", "it.value = 'volume'")
    facing = pixels(opened, left)
    assert facing.std() > 10
    opened.run("document.querySelector('canvas').focus()")
    for _ in range(3):
        opened.press("ArrowLeft", shift=True)
    assert np.abs(pixels(opened, left) - facing).mean() > 0.5

    assert opened.complaints == []
    assert {url.split(":")[0] for url in opened.requests} <= {"file", "data"}
