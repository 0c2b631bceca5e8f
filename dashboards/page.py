"""The report: one HTML file that needs nothing else, no network included."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from html import escape
from pathlib import Path

from plotly.offline import get_plotlyjs

from dashboards.assets import asset
from dashboards.configuration import configuration_html
from dashboards.curves.forks import forks_html
from dashboards.curves.section import choice_html, losses_html, ngf_html, psnr_html, title_of
from dashboards.excluded import excluded_html
from dashboards.families import trial_colours
from dashboards.load import NoSweep, Sweep
from dashboards.markup import anchor, note, paragraph, size_of
from dashboards.panels import panels_html
from dashboards.pictures.looks import CASES, BadLooks
from dashboards.pictures.sections import PictureOptions, picture_sections, picture_style
from dashboards.scores.details import details_html
from dashboards.scores.groups import grouped_html
from dashboards.scores.outliers import outliers_html
from dashboards.scores.tables import claim_note, score_tables, settings_table, trials_table
from dashboards.scores.thesis_table import thesis_table
from dashboards.search.section import search_html
from dashboards.summary import summary
from dashboards.trees import stage_tree_html
from dashboards.volumes.figures import plates_html, renders_html
from dashboards.volumes.profile import profile_html
from dashboards.volumes.viewer import viewer_html
from data_prep.atomic import renamed
from data_prep.volume import BadVolume

# The browser itself keeps the page from loading anything.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
NO_SCRIPT = "Curves need JavaScript; tables and pictures do not."
SIZE = "@size of this file@"


@dataclass(frozen=True)
class Options:
    """What a reader of the report may choose."""

    pictures: PictureOptions = field(default_factory=PictureOptions)
    by: str | None = None
    """A column of the table of cases by which the scores are split."""


@dataclass(frozen=True)
class Section:
    """A part of the page; one without a body is left out."""

    heading: str
    body: str

    @property
    def anchor(self) -> str:
        """What a link to it is called."""
        return anchor(self.heading)


def sections(sweep: Sweep, options: Options) -> list[Section]:
    """The page's parts from top to bottom."""
    metric = sweep.info["select"]["metric"]
    curves = psnr_html(sweep)
    scores = score_tables(sweep, "val") or paragraph("No case has been scored.")
    by = f"Scores by {options.by}" if options.by else ""
    return [
        Section("Validation PSNR", curves and choice_html(sweep) + curves),
        Section("Unweighted NGF", ngf_html(sweep)),
        Section("Forks", forks_html(sweep, metric=metric, title=title_of(metric))),
        Section("Losses", losses_html(sweep)),
        Section("Stage tree", stage_tree_html(sweep, colours=trial_colours(sweep))),
        Section("Table 4.1", thesis_table(sweep)),
        Section("Scores, validation", scores + paragraph(claim_note(sweep))),
        Section("Score details", details_html(sweep)),
        Section(by, grouped_html(sweep, by=options.by) if options.by else ""),
        Section("Outliers", outliers_html(sweep)),
        Section("Scores, test", _test_scores(sweep)),
        _section(sweep, "Search", partial(search_html, sweep)),
        *_pictures(sweep, options.pictures),
        Section("Trials", trials_table(sweep)),
        Section("Excluded cases", excluded_html(sweep)),
        Section("Configuration", configuration_html(sweep)),
        Section("Data and versions", settings_table(sweep)),
    ]


def _pictures(sweep: Sweep, options: PictureOptions) -> list[Section]:
    """Slices, error maps, volumes; for an older sweep's slices the panels that it drew itself."""
    panels = partial(panels_html, sweep, num_cases=options.num_cases)
    bodies: dict[str, Callable[[], str]] = {
        **({} if (sweep.folder / CASES).exists() else {"Panels": panels}),
        **picture_sections(sweep, options),
        "Contact plate": partial(plates_html, sweep),
        "Renders": partial(renders_html, sweep),
        "Background": partial(profile_html, sweep),
        "3D viewer": partial(viewer_html, sweep),
    }
    return [_section(sweep, heading, body) for heading, body in bodies.items()]


def _section(sweep: Sweep, heading: str, body: Callable[[], str]) -> Section:
    """The section; where one of its files is damaged, a line that says which and what to do."""
    try:
        return Section(heading, body())
    except (BadLooks, BadVolume, NoSweep) as error:
        told = str(error).replace(f"{sweep.folder}/", "")
        return Section(heading, note(f"Left out, as a file of it cannot be read. {told}"))


def write_report(sweep: Sweep, options: Options = Options()) -> Path:
    """Write `report.html` into the sweep's folder, whole or not at all; return its path."""
    path = sweep.folder / "report.html"
    content = render(sweep, options)
    with renamed(path) as temporary:
        temporary.write_text(content, encoding="utf-8")
    return path


def render(sweep: Sweep, options: Options = Options()) -> str:
    """The whole page as HTML; plotly.js stands once, at the end, so that text shows first."""
    title = escape(f"Sweep {sweep.info['sweep']}")
    shown = [section for section in sections(sweep, options) if section.body]
    links = "".join(
        f'<li><a href="#{each.anchor}">{escape(each.heading)}</a></li>' for each in shown
    )
    body = "\n".join(
        f'<section id="{each.anchor}"><h2>{escape(each.heading)}</h2>{each.body}</section>'
        for each in shown
    )
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{asset('report.css')}{picture_style()}</style></head>\n"
        '<body><a class="skip" href="#main">Skip to the report</a><div class="page">'
        f'<nav aria-label="Sections"><ol><li><a href="#main"><strong>Summary</strong></a></li>'
        f'{links}</ol></nav>\n<main id="main" tabindex="-1"><h1>{title}</h1>'
        f"{paragraph(summary(sweep))}{note(_caution(sweep))}"
        f"<noscript>{paragraph(NO_SCRIPT)}</noscript>\n{body}\n"
        f"<footer>{note(f'This file: {SIZE}, {len(shown)} sections.')}</footer></main></div>\n"
    )
    scripts = f"<script>{get_plotlyjs()}</script>\n<script>{asset('report.js')}</script>"
    num_bytes = len(page.encode()) + len(scripts.encode())
    return size_of(num_bytes).join(page.rsplit(SIZE, 1)) + scripts + "</body></html>\n"


def _caution(sweep: Sweep) -> str:
    """What the numbers below may be used for."""
    opened = f" {_openings(sweep)}" if sweep.times_test_opened else ""
    return claim_note(sweep) + opened


def _test_scores(sweep: Sweep) -> str:
    table = score_tables(sweep, "test")
    return table and table + paragraph(_openings(sweep))


def _openings(sweep: Sweep) -> str:
    times = sweep.times_test_opened
    return f"Test opened {'once' if times == 1 else f'{times} times'} on this data."
