"""Tables, lists and foreign text in Markdown."""

import re
from collections.abc import Collection, Sequence


def table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Collection[str] = ()
) -> list[str]:
    """The lines of a table; cells are Markdown themselves, `numbers` the titles of columns of them.

    >>> table(["what", "mm"], [["spacing", "1.5"]], numbers=["mm"])
    ['| what | mm |', '| --- | ---: |', '| spacing | 1.5 |']
    """
    rules = ["---:" if title in numbers else "---" for title in titles]
    return [f"| {' | '.join(row)} |" for row in (titles, rules, *rows)]


def bullets(lines: Sequence[str]) -> list[str]:
    """The lines of a list."""
    return [f"- {line}" for line in lines]


def plain(text: str) -> str:
    r"""Any text as one line that Markdown shows as it stands.

    >>> plain("a|b *c*\nd_e @f")
    'a\\|b \\*c\\* d\\_e @f'
    """
    return re.sub(r"([\\`*_\[\]<>|~#])", r"\\\1", " ".join(text.split()))
