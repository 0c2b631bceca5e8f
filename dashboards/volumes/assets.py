"""Style sheets and scripts that lie beside the code."""

from importlib import resources


def asset(name: str) -> str:
    """The text of a .css or .js file of this package."""
    return resources.files("dashboards.volumes").joinpath(name).read_text(encoding="utf-8")
