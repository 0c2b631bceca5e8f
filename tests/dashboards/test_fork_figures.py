import re

from big_sweep import write_big_sweep
from sweep_folder import trial_row, write_table

from dashboards.curves.forks import BEFORE, MOST_DRAWN, UNFOLDED, Half, fork_figure, forks_html
from dashboards.curves.segments import points_of
from dashboards.families import trial_colours
from dashboards.load import load_sweep


def html_of(folder):
    return forks_html(load_sweep(folder), metric="val/psnr", title="PSNR (dB)")


def test_a_fork_shows_its_branches_alone_from_five_epochs_before_it(tmp_path):
    write_big_sweep(tmp_path / "big", num_trials=8)
    sweep = load_sweep(tmp_path / "big")
    fork = next(fork for fork in sweep.forks if fork.epoch == 30)
    half = Half("val/psnr", "PSNR", "y", points_of(sweep, "val/psnr"))
    lines = {
        trace.name: list(trace.x)
        for trace in fork_figure(sweep, fork, [half], trial_colours(sweep)).data
    }
    assert lines == {
        "shared": list(range(30 - BEFORE + 1, 31)),
        "arm01.keep": list(range(30, 71)),
        "arm01.drop30": list(range(30, 71)),
    }


def test_psnr_stands_above_the_ngf_on_one_epoch_axis(sweep_dir):
    sweep = load_sweep(sweep_dir)
    halves = [Half(f"val/{n}", n, y, points_of(sweep, f"val/{n}")) for n, y in
              (("psnr", "y"), ("ngf", "y2"))]  # fmt: skip
    figure = fork_figure(sweep, sweep.forks[0], halves, trial_colours(sweep))
    assert {trace.yaxis for trace in figure.data} == {"y", "y2"}
    assert {trace.xaxis for trace in figure.data} == {None}
    assert figure.layout.yaxis.domain[0] > figure.layout.yaxis2.domain[1]


def test_every_fork_has_its_figure_and_many_are_folded(sweep_dir, tmp_path):
    assert re.findall("<summary>(.*?)</summary>", html_of(sweep_dir)) == [
        "Fork after epoch 3: exp.keep, exp.drop"
    ]
    write_big_sweep(tmp_path / "big", num_trials=16)
    titles = re.findall("<summary>(.*?)</summary>", html_of(tmp_path / "big"))
    assert len([title for title in titles if title.startswith("Fork")]) == 12
    assert titles[UNFOLDED] == "6 more"


def test_a_sweep_without_forks_has_no_such_figures(sweep_dir):
    write_table(sweep_dir, "trials.parquet", [trial_row("never", [])])
    assert html_of(sweep_dir) == ""


def test_forks_beyond_the_24_drawn_are_named(tmp_path):
    write_big_sweep(tmp_path / "big", num_trials=36)
    html = html_of(tmp_path / "big")
    assert html.count('class="plot"') == MOST_DRAWN == 24
    assert "<summary>3 more forks, not drawn</summary>" in html
    assert "<li>Fork after epoch 40: arm09.keep, arm09.drop40</li>" in html
