"""NiiVue, the viewer of volumes in a browser, taken out of the installed package ipyniivue."""

import gzip
import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from data_prep.errors import PctError

PACKAGE = "ipyniivue"
BUNDLE = "ipyniivue/static/widget.js"
EVENT = "niivue"
"""The page hears this when the script has run; its `detail` is the class Niivue."""

_MAKES = re.compile(r'"Creating new Niivue instance".{0,80}?=new ([\w$]+)\(')
_EXPORTS = re.compile(r"export\s*\{\s*[\w$]+ as default\s*\};?\s*$")


class NoNiivue(PctError):
    """The package that carries NiiVue is not installed, or no longer of the form known here."""


def niivue_script() -> str:
    """NiiVue as one ES module without imports, which hands its class to the page by an event.

    The package's module exports a notebook widget only; that export is replaced. Raises `NoNiivue`
    with what to install.
    """
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError as error:
        raise NoNiivue(
            f"{PACKAGE}, which carries the 3D viewer, is not installed. Install it by "
            "`pip install 'pct-sweeps[report]'` and run `pct report` again."
        ) from error
    source = Path(str(package.locate_file(BUNDLE))).read_text(encoding="utf-8")
    licence = package.read_text("licenses/LICENSE") or "BSD-2-Clause"
    return f"/*! NiiVue, from {PACKAGE} {package.version}\n{licence}*/\n" + with_class(
        source, version=package.version
    )


def with_class(source: str, *, version: str) -> str:
    """The module with its last export replaced by an event that carries the class Niivue."""
    makes, exports = _MAKES.search(source), _EXPORTS.search(source)
    if not makes or not exports or re.search(r"\bimport\.meta\b|^import\b", source):
        raise NoNiivue(
            f"{PACKAGE} {version}: {BUNDLE} is not of the form known here, one module that makes "
            "a Niivue and exports a widget. Install ipyniivue 2.4.4 and run `pct report` again."
        )
    event = f'new CustomEvent("{EVENT}",{{detail:{makes[1]}}})'
    return f"{source[: exports.start()]}document.dispatchEvent({event});\n"


def packed(script: str) -> bytes:
    """Compressed by gzip, as a browser's DecompressionStream reads it; always the same bytes."""
    return gzip.compress(script.encode(), compresslevel=6, mtime=0)
