"""The cells of the tables in a piece of HTML, as text."""

import re
from html import unescape


def cells(html: str) -> list[list[str]]:
    """Row by row, head first."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", html)
    return [
        [unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows
    ]
