"""The interactive viewer: CT and pseudo-CT side by side, in the page itself, loaded when asked for.

Nothing is fetched. NiiVue and the volumes lie in the page as compressed text; a button unpacks
them. NiiVue then runs as an inline script, so the page's policy needs nothing that it has not.
"""

import base64
import gzip
from html import escape

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from dashboards.assets import asset
from dashboards.load import Sweep
from dashboards.markup import note
from dashboards.volumes.folder import chosen, find_head, left_out
from dashboards.volumes.niivue import EVENT, NoNiivue, niivue_script, packed
from data_prep.volume import Volume

COARSE_HU = 16
"""Outside the head values are rounded to such steps: noise there would double the page's size."""

_BODY = """
<p class="viewer-start"><button type="button">Open the 3D viewer</button>
<span role="status"></span></p>
<div class="viewer-body" hidden>
<div class="viewer-bar">
<label>Trial <select name="trial">{options}</select></label>
<label>Window <select name="window"><option value="-600 1400">bone, 400 / 2000 HU</option>
<option value="0 80">brain, 40 / 80 HU</option>
<option value="-1024 -600">fog, -1024 to -600 HU</option></select></label>
<label>View <select name="view"><option value="all">slices and 3D</option>
<option value="slices">slices</option><option value="volume">3D</option></select></label>
<label><input type="checkbox" name="difference"> show pCT - CT in the head</label>
</div>
<div class="viewer-pair">
<figure><figcaption>CT</figcaption><div class="viewer-screen">
<canvas tabindex="0" aria-label="CT in three planes and in 3D"></canvas></div></figure>
<figure><figcaption data-title="trial">pCT</figcaption><div class="viewer-screen">
<canvas tabindex="0" aria-label="Pseudo-CT in three planes and in 3D"></canvas></div></figure>
</div>
<output class="viewer-place"></output>
</div>
"""
_NOTE = (
    "Case {case}, 2 mm. Click or drag to move both crosshairs; drag the 3D picture to turn both. "
    "With a picture in focus: arrow keys left-right and up-down, Page Up and Down front-back, "
    "Shift and arrows turn, + and - zoom. The difference is shown inside the head from 50 to "
    "500 HU: pCT too high from orange to yellow, too low from blue to green. Values outside the "
    "head are rounded to {coarse} HU here. {rest}"
)


def viewer_html(sweep: Sweep, *, num_trials: int = 3) -> str:
    """The viewer with CT and up to `num_trials` pseudo-CTs; "" where the sweep kept no volumes.

    Without the package that carries NiiVue: one line that says how to get it.
    """
    head = find_head(sweep)
    if head is None:
        return ""
    try:
        script = niivue_script()
    except NoNiivue as error:
        return note(str(error))
    runs = chosen(sweep, head, limit=num_trials)
    options = "".join(f"<option>{escape(sweep.names_of(run))}</option>" for run in runs)
    told = _NOTE.format(case=head.case, coarse=COARSE_HU, rest=left_out(head, runs))
    ct, mask = head.load_ct(), head.load("head")
    inside = np.ones(ct.array.shape, bool) if mask is None else mask.array > 0
    volumes = [_slim(volume, inside) for volume in (ct, *map(head.load_run, runs))]
    volumes.append(ct.with_array(inside.astype(np.int16)))
    return (
        f'<div class="viewer" id="viewer3d">{_BODY.format(options=options)}</div>'
        f"{note(told)}<style>{asset('volumes/viewer.css')}</style>"
        + _embedded("niivue", packed(script))
        + "".join(_embedded("volume", _nifti_gz(volume)) for volume in volumes)
        + f"<script>{asset('volumes/viewer.js').replace('NIIVUE_EVENT', EVENT)}</script>"
    )


def _slim(volume: Volume, inside: NDArray[np.bool_]) -> Volume:
    """Whole HU as they are inside the head, in steps of `COARSE_HU` outside."""
    coarse = np.rint(volume.array / COARSE_HU).astype(np.int16) * np.int16(COARSE_HU)
    return volume.with_array(np.where(inside, np.rint(volume.array).astype(np.int16), coarse))


def _nifti_gz(volume: Volume) -> bytes:
    image = nib.Nifti1Image(volume.array, volume.affine)
    image.header.set_xyzt_units("mm")
    return gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)


def _embedded(name: str, content: bytes) -> str:
    """Bytes that the page's script finds by `data-packed`; the browser does not run them."""
    text = base64.b64encode(content).decode()
    return f'<script type="text/plain" data-packed="{name}">{text}</script>'
