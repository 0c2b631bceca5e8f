"""The page over a folder of patients: worst first, nothing from outside, names taken as text."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from pct.prediction.check import Check
from pct.prediction.qc_page import Entry, write_page


def check(name: str, *, ok: bool) -> Check:
    return Check(name, 0.5, "share", None, 0.4, ok, f"{name} is 50% (expected up to 40%)")


def png(grey: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), grey, np.uint8)).save(out, format="PNG")
    return out.getvalue()


ENTRIES = [
    Entry("sound", png(200), [check("fog", ok=True)], ""),
    Entry("doubtful", png(90), [check("fog", ok=False), check("cut", ok=True)], ""),
    Entry("worse", png(30), [check("fog", ok=False), check("cut", ok=False)], ""),
    Entry("<script>x</script> & co", b"", [], "<b>: no head can be found. Check the input."),
]


class Texts(HTMLParser):
    """Tags with their attributes, and the text of headings."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.inside = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_data(self, data):
        if self.inside == "h2" and data.strip():
            self.headings.append(data)
            self.inside = ""


@pytest.fixture
def page(tmp_path) -> str:
    write_page(ENTRIES, tmp_path / "deep" / "page.html")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["page.html"]
    return (tmp_path / "deep" / "page.html").read_text(encoding="utf-8")


def parsed(page: str) -> Texts:
    parser = Texts()
    parser.feed(page)
    return parser


def test_failures_come_first_then_those_with_most_warnings(page):
    assert parsed(page).headings == ["<script>x</script> & co", "worse", "doubtful", "sound"]
    assert "1 failed, 2 with warnings, 1 without" in page
    assert "2 warnings" in page
    assert "1 warning<" in page


def test_names_and_failures_are_text_and_no_markup(page):
    tags = [name for name, _ in parsed(page).tags]
    assert "script" not in tags
    assert "&lt;b&gt;: no head can be found. Check the input." in page


def test_the_page_needs_nothing_from_outside(page):
    for name, attributes in parsed(page).tags:
        for key in ("src", "href"):
            if key in attributes:
                assert attributes[key].startswith(("data:image/jpeg;base64,", "#")), name
    assert not re.search(r"url\(|@import|https?:", page)


def test_each_picture_is_that_of_its_patient(page):
    greys = []
    for data in re.findall(r"base64,([^\"]+)", page):
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert image.size == (30, 20)
            greys.append(round(np.asarray(image).mean()))
    assert greys == pytest.approx([30, 90, 200], abs=2)


def test_every_link_leads_to_a_patient_and_back_to_the_table(page):
    tags = parsed(page).tags
    links = [attributes["href"] for name, attributes in tags if name == "a"]
    there = [f"#{attributes['id']}" for name, attributes in tags if name == "article"]
    assert len(there) == len(ENTRIES)
    assert links == [*there, *["#patients"] * len(ENTRIES)]
    assert [
        attributes["id"] for name, attributes in tags if name == "table" and "id" in attributes
    ] == ["patients"]


def test_all_checks_can_be_read_those_that_hold_too(page):
    assert page.count("<summary>all ") == 3
    assert "<summary>all 1 check</summary>" in page
    assert "cut is 50%" in page


def test_what_could_not_be_measured_is_told_without_being_a_warning_or_well(tmp_path):
    unknown = Check("fingerprint", None, "", None, None, None, "the model does not say")
    write_page([Entry("one", png(9), [unknown], "")], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert '<li class="note">not measured: the model does not say</li>' in page
    assert "<td>not measured</td><td>the model does not say</td>" in page
    assert "<td>ok</td>" not in page
    assert "1 without" in page
    assert "Pseudo-CTs of 1 patient<" in page


def test_a_page_of_nobody_is_still_a_page(tmp_path):
    write_page([], tmp_path / "page.html")
    assert "Pseudo-CTs of 0 patients" in (tmp_path / "page.html").read_text(encoding="utf-8")
