import pandas as pd
from cells import cells

from dashboards.excluded import excluded_html, kind_of
from dashboards.load import load_sweep


def case(subject, status, reason):
    return {"subject": subject, "split": None, "status": status, "reason": reason}


def test_reasons_that_differ_in_numbers_or_names_only_are_counted_together(sweep_dir):
    rows = [
        case("a", "taken", ""), case("b", "refused", "b: MR of 3 slices. Leave it out."),
        case("c", "refused", "c: MR of 12 slices. Leave it out."),
        case("d", "refused", "no CT"), case("e", "flagged", "offset 1.8 mm"),
    ]  # fmt: skip
    pd.DataFrame(rows).to_parquet(sweep_dir / "cases.parquet")
    html = excluded_html(load_sweep(sweep_dir))
    assert "5 cases of the data: 1 taken, 1 flagged, 3 refused." in html
    assert ["the case: MR of N slices", "2"] in cells(html)
    assert ["c", "c: MR of 12 slices. Leave it out."] in cells(html)
    assert ["e", "offset 1.8 mm"] in cells(html)


def test_names_with_numbers_keep_them():
    assert kind_of("dice_hu250 is 0.31", "x") == "dice_hu250 is N"
    assert kind_of("", "x") == "no reason given"


def test_an_older_sweep_without_the_table_says_so(sweep_dir):
    assert "holds no table of cases" in excluded_html(load_sweep(sweep_dir))
