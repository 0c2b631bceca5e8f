"""The `search` of a recipe, and its mistakes all at once."""

import pytest

from pct.metrics.names import LOOKS
from sweeps.search.aims import AIMS, read_search
from sweeps.search.space import Dimension, Search

SPACE = {"ngf": Dimension(low=2, high=300, log=True), "at": Dimension(low=1, high=5, step=1)}


def problems_of(settings, space=SPACE) -> list[str]:
    problems: list[str] = []
    read_search(settings, space, problems)
    return problems


def read(settings, space=SPACE) -> Search:
    problems: list[str] = []
    search = read_search(settings, space, problems)
    assert problems == []
    return search


def test_without_a_word_the_head_error_is_minimised():
    assert read(None).objectives == ("val3d/mae_head",)
    assert read({"points": 3}).minimise == ("val3d/mae_head",)


def test_who_only_maximises_minimises_nothing():
    search = read({"maximise": ["val/psnr_masked"]})
    assert (search.minimise, search.objectives) == ((), ("val/psnr_masked",))


def test_what_is_minimised_comes_first():
    search = read({"maximise": ["val3d/ssim_masked"], "minimise": ["val3d/mae_head"]})
    assert search.objectives == ("val3d/mae_head", "val3d/ssim_masked")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"minimise": []}, "search.minimise: a search needs something to minimise or to maximise."),
        (
            {"minimise": ["val3d/mae_haed"]},
            "search.minimise: no metric 'val3d/mae_haed': did you mean val3d/mae_head?",
        ),
        (
            {"maximise": ["val/psnr_mask"]},
            "search.maximise: no metric 'val/psnr_mask': did you mean val/psnr_masked?",
        ),
        (
            {"minimise": ["val3d/ssim_masked"]},
            "search.minimise: val3d/ssim_masked is better when higher: put it under maximise.",
        ),
        (
            {"maximise": ["val/l1"]},
            "search.maximise: val/l1 is better when lower: put it under minimise.",
        ),
        (
            {"minimise": ["val3d/mae_head"], "maximise": ["val3d/mae_head"]},
            "search.maximise: val3d/mae_head is minimised too: take it out of one of them.",
        ),
        (
            {"minimise": ["val3d/mae_head", "val3d/mae_head"]},
            "search.minimise: val3d/mae_head is named twice.",
        ),
        (
            {"constrain": {"val3d/mr_leek": 0.2}},
            "search.constrain: no metric 'val3d/mr_leek': did you mean val3d/mr_leak?",
        ),
        (
            {"constrain": {"val3d/dice_air": 0.2}},
            "search.constrain: val3d/dice_air is better when higher: "
            "a bound is the most that it may be.",
        ),
        (
            {"sampler": "grid"},
            "search.sampler: a grid needs a step in every dimension, and ngf has none.",
        ),
        (
            {"exhaust": ["ngf"]},
            "search.exhaust: ngf is not a dimension with a step in the space.",
        ),
        ({"pionts": 3}, "search.pionts: Extra inputs are not permitted: did you mean points?"),
        (["tpe"], "search: expected a mapping of settings, found ['tpe']."),
    ],
)
def test_a_mistake_is_named_with_its_remedy(settings, message):
    assert problems_of(settings) == [message]


def test_all_mistakes_are_named_at_once():
    found = problems_of(
        {
            "sampler": "bayes",
            "minimise": ["val3d/mae_haed", "val/psnr"],
            "constrain": {"val3d/mr_leak": "little"},
            "exhaust": ["ngf"],
        }
    )
    keys = [line.split(":")[0] for line in found]
    assert sorted(keys) == [
        "search.constrain.val3d/mr_leak", "search.exhaust", "search.minimise", "search.minimise",
        "search.sampler",
    ]  # fmt: skip


def test_an_image_statistic_that_is_no_aim_may_go_either_way():
    assert problems_of({"minimise": ["val3d/fog_hu"]}) == []
    assert problems_of({"maximise": ["val3d/fog_hu"]}) == []


def test_the_points_of_a_grid_are_all_there_are_or_fewer():
    grid = {"a": Dimension(low=1, high=3, step=1), "b": Dimension(low=0, high=1, step=0.5)}
    assert read({"sampler": "grid"}, grid).points == 9
    assert read({"sampler": "grid", "points": 4}, grid).points == 4
    assert read({"sampler": "grid", "points": 90}, grid).points == 9
    assert read({"sampler": "grid", "exhaust": ["a"]}, grid).points == 3
    assert read({"sampler": "random"}, grid).points == 9
    assert read({"sampler": "random"}).points == 12


def test_every_look_of_an_epoch_can_be_aimed_at_by_name(phantom_data):
    from data_prep.cache import open_slices
    from pct.networks import Generator
    from pct.validate import validate
    from tests.tiny import tiny_run

    run = tiny_run()
    looks = validate(Generator(run.generator), open_slices(phantom_data, "val"), run)
    assert looks.keys() == {f"val/{name}" for name in LOOKS} == {n for n in AIMS if n[3] == "/"}
