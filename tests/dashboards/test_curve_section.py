import json
import re
from html import unescape

from sweep_folder import trial_row, write_info, write_table

from dashboards.curves.section import choice_html, losses_html, psnr_html
from dashboards.load import load_sweep


def buttons(html):
    found = re.findall(r'data-trials="([^"]*)">([^<]*)</button>', html)
    return {unescape(name): json.loads(unescape(trials)) for trials, name in found}


def test_there_is_a_button_a_run_under_all_its_names(sweep_dir):
    html = choice_html(load_sweep(sweep_dir))
    assert buttons(html) == {
        "never": ["never"], "exp.keep = always": ["exp.keep", "always"], "exp.drop": ["exp.drop"],
    }  # fmt: skip
    assert 'placeholder="all 4"' in html


def test_a_family_holds_a_branch_that_is_the_same_run_as_another_trial(sweep_dir):
    seeds = range(1, 5)
    rows = [trial_row(f"{name}@s{seed}", []) for name in ("exp1", "exp2", "exp3.drop")
            for seed in seeds]  # fmt: skip
    rows += [trial_row(f"exp3.keep@s{seed}", [], same_as=f"exp1@s{seed}") for seed in seeds]
    write_table(sweep_dir, "trials.parquet", rows)
    found = buttons(choice_html(load_sweep(sweep_dir)))
    assert list(found) == ["exp1", "exp2", "exp3"]
    assert {"exp3.keep@s1", "exp3.drop@s1"} <= set(found["exp3"])


def test_one_run_alone_has_nothing_to_choose_from(sweep_dir):
    write_table(sweep_dir, "trials.parquet", [trial_row("never", [])])
    assert choice_html(load_sweep(sweep_dir)) == ""


def test_losses_are_drawn_where_they_were_recorded(sweep_dir):
    assert losses_html(load_sweep(sweep_dir)) == ""
    history = load_sweep(sweep_dir).history
    l1 = history[history["metric"] == "val/psnr"].assign(metric="loss/l1")
    write_table(sweep_dir, "history.parquet", [*history.to_dict("records"),
                                               *l1.to_dict("records")])  # fmt: skip
    captions = re.findall("<figcaption>(.*?)</figcaption>", losses_html(load_sweep(sweep_dir)))
    assert captions == ["L1 loss"]


def test_the_metric_that_selects_is_drawn_once_whatever_it_is(sweep_dir):
    assert psnr_html(load_sweep(sweep_dir)).count('class="plot"') == 1
    write_info(sweep_dir, select={"metric": "val/ngf", "mode": "min"})
    html = psnr_html(load_sweep(sweep_dir))
    assert html.count('class="plot"') == 2
    assert "<h3>ngf, which selects</h3>" in html
