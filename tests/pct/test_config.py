"""Runs from presets and overrides, and what mistakes in them are told."""

import pytest

from pct.config import (
    BadConfig,
    Run,
    build_run,
    load_preset,
    merge,
    parse_override,
    place,
    preset_names,
    read_yaml,
)
from pct.learning import Augmentation


def overridden(preset: str, *overrides: str) -> Run:
    settings = load_preset(preset)
    for text in overrides:
        settings = merge(settings, place(*parse_override(text)))
    return build_run(settings)


def test_an_unknown_key_is_refused_with_the_nearest_known_one():
    with pytest.raises(BadConfig, match=r"epoch: no such setting: did you mean epochs\?"):
        build_run({"epoch": 3})
    with pytest.raises(
        BadConfig, match=r"generator.chanels: no such setting: did you mean channels\?"
    ):
        build_run({"generator": {"chanels": [8, 16]}})
    with pytest.raises(BadConfig, match=r"lamda_ngf: no such setting: did you mean lambda_ngf\?"):
        build_run({"lamda_ngf": 3})
    with pytest.raises(BadConfig, match=r"stop.patiense: no such setting: did you mean patience\?"):
        build_run({"stop": {"patiense": 3}})


def test_a_key_like_none_that_is_known_lists_all_that_are():
    with pytest.raises(BadConfig, match=r"known are slices"):
        build_run({"val": {"zzzzzz": 3}})


def test_several_mistakes_come_in_one_message_a_line_each():
    with pytest.raises(BadConfig) as caught:
        build_run({"epohcs": 3, "flip": 2, "loss": {"gan": "wgan"}, "schedule": {"lr_g": -1}})
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    for begin in ("epohcs:", "flip:", "loss.gan:", "schedule.lr_g:"):
        assert sum(line.startswith(begin) for line in lines) == 1
    assert "(found 2)" in str(caught.value)
    assert "(found 'wgan')" in str(caught.value)


def test_several_contradictions_come_in_one_message():
    with pytest.raises(BadConfig) as caught:
        build_run(
            {
                "epochs": 4,
                "warmup_epochs": 4,
                "batch": 5,
                "workers": 2,
                "stop": {"after": 9},
                "schedule": {"lambda_ngf": {0: 20, 7: 0}},
            }
        )
    for part in (
        "batch 5 does not divide by workers 2",
        "warmup_epochs 4 leaves none of 4 epochs",
        "stop.after 9 is not before epochs 4",
        "schedule.lambda_ngf changes after 7 epochs, the run ends at 4",
    ):
        assert part in str(caught.value)


def test_a_batch_must_divide_by_the_workers():
    assert build_run({"batch": 14, "workers": 7}).batch == 14
    with pytest.raises(BadConfig, match=r"batch 14 does not divide by workers 4"):
        build_run({"batch": 14, "workers": 4})


def test_a_placebo_needs_two_slices_a_worker():
    shuffled = {"loss": {"ngf_control": "shuffled"}, "workers": 2}
    assert build_run({**shuffled, "batch": 4}).loss.ngf_control == "shuffled"
    with pytest.raises(BadConfig, match=r"batch 2 over 2 workers makes a single slice"):
        build_run({**shuffled, "batch": 2})


def test_every_preset_makes_a_run():
    assert {"thesis_exp1", "thesis_exp4", "resize", "crop", "l1_only", "laptop"} <= set(
        preset_names()
    )
    for name in preset_names():
        assert build_run(load_preset(name)).epochs >= 1


def test_long_presets_average_clip_and_augment_and_short_ones_and_the_thesis_do_not():
    for name in preset_names():
        run = build_run(load_preset(name))
        on = {run.ema_decay > 0, run.clip_norm > 0, run.augment != Augmentation()}
        assert on == {run.epochs >= 70 and not name.startswith("thesis")}, name


def test_an_unknown_preset_is_told_the_nearest():
    with pytest.raises(BadConfig, match=r"no preset 'thesis_exp9': did you mean thesis_exp"):
        load_preset("thesis_exp9")


def test_thesis_experiment_1_holds_the_numbers_of_the_thesis():
    run = build_run(load_preset("thesis_exp1"))
    schedule = run.schedule
    assert schedule.lambda_l1 == ((0, 140.0),)
    assert schedule.lambda_ngf == ((0, 20.0),)
    assert schedule.lambda_gan == ((0, 1.0),)
    assert schedule.lambda_bg == ((0, 0.0),)
    assert schedule.ngf_alpha == ((0, 0.08),)
    assert schedule.lr_g == schedule.lr_d == ((0, 2e-4),)
    assert (run.epochs, run.batch, run.warmup_epochs) == (70, 14, 2)
    assert run.adam_betas == (0.9, 0.999)
    assert (run.loss.gan, run.loss.ngf_form, run.loss.mask_fill) == ("bce", "half", "none")
    assert run.loss.warmup_gan == "on"
    assert run.generator.channels == (64, 128, 256, 512)
    assert run.generator.num_res_units == 10
    assert (run.generator.head, run.generator.norm) == ("raw", "instance")
    discriminator = run.discriminator
    assert (discriminator.filters, discriminator.layers, discriminator.scales) == (128, 4, 2)
    assert (run.data.arm, run.data.size, run.data.mr_window) == ("resize", 256, "volume")
    assert run.val.slices == 1
    assert run.select.metric == "val/psnr"
    assert run.flip == 0
    assert run.stop is None


def test_the_other_thesis_experiments_differ_from_the_first_in_what_they_are_about():
    first, second, third, fourth = (build_run(load_preset(f"thesis_exp{n}")) for n in range(1, 5))

    def with_ngf(steps):
        schedule = first.schedule.model_copy(update={"lambda_ngf": steps})
        return first.model_copy(update={"schedule": schedule})

    assert second == with_ngf(((0, 0.0),))
    assert third == with_ngf(((0, 20.0), (40, 0.0)))
    assert fourth.data.arm == "crop"
    assert fourth.loss.mask_fill == "zero"
    assert fourth.loss.mask_reduction == "image_mean"
    assert fourth.schedule.lambda_bg == ((0, 10.0),)
    assert fourth.epochs == 200
    stop = fourth.stop
    assert (stop.metric, stop.patience, stop.min_delta, stop.after) == ("val/psnr", 15, 0.02, 70)


def test_the_l1_baseline_is_the_sane_run_without_gan_and_ngf():
    run, sane = (build_run(load_preset(name)) for name in ("l1_only", "resize"))
    off = {"lambda_gan": ((0, 0.0),), "lambda_ngf": ((0, 0.0),)}
    assert run == sane.model_copy(update={"schedule": sane.schedule.model_copy(update=off)})


def test_the_presets_read_the_mask_as_the_thesis_does_or_as_is_sane():
    literal, sane = (build_run(load_preset(name)).loss for name in ("thesis_exp4", "resize"))
    assert (literal.mask_fill, literal.mask_reduction) == ("zero", "image_mean")
    assert (sane.mask_fill, sane.mask_reduction) == ("air", "mask_mean")
    assert (literal.ngf_region, sane.ngf_region) == ("image", "head")


def test_yaml_is_read_as_version_1_2(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("rate: 2e-4\nswitch: off\nyes: no\n")
    assert read_yaml(path) == {"rate": 2e-4, "switch": "off", "yes": "no"}


def test_a_duplicate_key_is_an_error_that_names_the_file_and_the_line(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("epochs: 3\nbatch: 2\nepochs: 4\n")
    with pytest.raises(BadConfig, match=r"twice\.yaml.*duplicate key.*epochs") as caught:
        read_yaml(path)
    assert "line 3" in str(caught.value)


@pytest.mark.parametrize(("text", "found"), [("- 1\n- 2\n", "list"), ("", "NoneType")])
def test_a_yaml_file_that_holds_no_mapping_is_refused(tmp_path, text, found):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(BadConfig, match=f"expected a mapping, found {found}"):
        read_yaml(tmp_path / "a.yaml")


def test_overrides_reach_sections_by_a_dot_and_schedules_by_their_bare_name():
    run = overridden(
        "smoke",
        "epochs=9",
        "data.size=32",
        "lambda_ngf=3",
        "schedule.lr_g=1e-3",
        "lambda_bg={0: 1, 4: 2}",
        "generator.channels=[4, 8]",
    )
    assert (run.epochs, run.data.size, run.generator.channels) == (9, 32, (4, 8))
    assert run.data.arm == "resize"
    assert run.schedule.lambda_ngf == ((0, 3.0),)
    assert run.schedule.lr_g == ((0, 1e-3),)
    assert run.schedule.lambda_bg == ((0, 1.0), (4, 2.0))
    assert run.schedule.lr_d == build_run(load_preset("smoke")).schedule.lr_d


def test_an_override_replaces_a_schedule_whole():
    assert overridden("thesis_exp3", "lambda_ngf=5").schedule.lambda_ngf == ((0, 5.0),)


@pytest.mark.parametrize("text", ["epochs", "=3", ""])
def test_an_override_without_a_key_and_a_value_is_refused(text):
    with pytest.raises(BadConfig, match=r"expected key=value, as in epochs=90"):
        parse_override(text)


def test_an_override_that_is_no_yaml_is_refused_with_its_text():
    with pytest.raises(BadConfig, match=r"'epochs=\[1'"):
        parse_override("epochs=[1")


def test_a_section_that_is_no_mapping_is_refused():
    with pytest.raises(BadConfig, match=r"data"):
        overridden("smoke", "data=3")


def test_a_run_is_not_to_be_changed():
    run = build_run({})
    with pytest.raises(ValueError, match=r"frozen"):
        run.epochs = 3
