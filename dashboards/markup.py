"""Small pieces of HTML that every section is made of: tables, notes, areas that scroll.

A report is handed on, so its words name no folder of the machine that wrote it.
"""

import re
from collections.abc import Sequence
from html import escape

UNKNOWN = "\N{EN DASH}"

_QUOTED_PATH = re.compile(r"""(?<=(['"]))/(?:[^'"\n]*/)?(?=[^'"/\n]+/?\1)""")
_PATH = re.compile(r"(?<![\w/.~-])(?<!models:)(?:file://)?/(?:[^\s/'\"<>:,;()]+/)+(?=[^\s/])")


def html_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numeric: bool = False,
    grey: Sequence[int] = (),
    caption: str = "",
) -> str:
    """A plain table; text is escaped. `numeric` aligns all but the first column to the right.

    Rows whose numbers are in `grey` stand for comparison only. Wide ones scroll, `caption` being
    what a screen reader calls them.
    """
    head = "".join(f'<th scope="col">{_words(header)}</th>' for header in headers)
    body = "".join(
        ('<tr class="grey">' if index in grey else "<tr>")
        + f'<th scope="row">{_words(first)}</th>'
        + "".join(f"<td>{_words(cell)}</td>" for cell in rest) + "</tr>"
        for index, (first, *rest) in enumerate(rows)
    )  # fmt: skip
    kind = ' class="numeric"' if numeric else ""
    table = f"<table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return scroll(table, name=caption or f"Table: {', '.join(headers[:3])}")


def scroll(content: str, *, name: str) -> str:
    """An area that scrolls by itself, so that the page does not; by the keyboard too."""
    says = f'tabindex="0" role="region" aria-label="{escape(name)}"'
    return f'<div class="scroll" {says}>{content}</div>'


def folded(title: str, content: str, *, is_open: bool = False) -> str:
    """Content below a line that opens it."""
    state = " open" if is_open else ""
    return f"<details{state}><summary>{escape(title)}</summary>{content}</details>"


def paragraph(text: str) -> str:
    """Running text."""
    return f"<p>{_words(text)}</p>"


def note(text: str) -> str:
    """What a figure or a table needs to be read rightly."""
    return f'<p class="note">{_words(text)}</p>'


def subheading(text: str) -> str:
    """A heading inside a section."""
    return f"<h3>{escape(text)}</h3>"


def shortened(text: str) -> str:
    """The text with absolute paths cut to their last part; addresses like https://... stay.

    >>> shortened("[Errno 2] No such file: '/data/ann lee/heads/p01.nii.gz'")
    "[Errno 2] No such file: 'p01.nii.gz'"
    >>> shortened("/data/ann/p01: 3 slices, 180 HU/mm")
    'p01: 3 slices, 180 HU/mm'
    """
    return _PATH.sub("", _QUOTED_PATH.sub("", text)) if "/" in text else text


def _words(text: str) -> str:
    return escape(shortened(text))


def anchor(heading: str) -> str:
    """What a link to a heading is called: "Scores, test" is `scores-test`."""
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def listed(names: Sequence[str], *, most: int = 6) -> str:
    """`a, b and 3 more`."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def size_of(num_bytes: int) -> str:
    """`6.2 MB`."""
    return f"{num_bytes / 1e6:.1f} MB"
