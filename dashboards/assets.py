"""Style sheets and scripts that lie beside the code."""

from importlib import resources


def asset(name: str) -> str:
    """The text of a .css or .js file by its path below dashboards: `volumes/viewer.js`."""
    return resources.files("dashboards").joinpath(name).read_text(encoding="utf-8")
