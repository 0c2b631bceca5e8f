"""A model's card as text: what it must say, and that it says nothing it does not know."""

import json
import re

import pandas as pd
import pytest

from data_prep.schema import SliceGrid
from pct.card import make_card
from pct.card_text import model_card, write_card
from pct.model import save_model
from pct.networks import Generator
from pct.scoring.score import Score, table
from tests.data_folder import SIZE
from tests.pct.identity import CARD
from tests.tiny import tiny_run

GRID = {"arm": "resize", "size": 32, "pixel_mm": 8.0, "slice_mm": 12.0}


def content(*, card=CARD, **settings):
    run = tiny_run(**settings).model_dump(mode="json")
    return {"run": run, "grid": GRID, "card": card, "weights": {}}


def scored(metric: str, unit: str, values: list[float]) -> pd.DataFrame:
    return table([
        Score("exp1", f"case-{number}", "val", "5a", metric, value, unit, "threshold-2")
        for number, value in enumerate(values)
    ])  # fmt: skip


def cells(card: str, first: str) -> list[str]:
    """The cells of the one row that begins so."""
    rows = [line.split(" | ") for line in card.splitlines() if line.startswith(f"| {first} |")]
    assert len(rows) == 1, first
    return [cell.strip("| ") for cell in rows[0][1:]]


def test_a_card_that_knows_nothing_says_so_and_makes_nothing_up():
    card = model_card(content())
    assert card.startswith("# Pseudo-CT model exp1@6\n\n**Its intended use is not known.**")
    for fact in ("training cases", "site", "scanner", "field strength, T", "sequence",
                 "sha256 of generator.safetensors", "training data", "software"):  # fmt: skip
        assert cells(card, fact) == ["not known"]
    assert "What the MRs of its training were like is not known" in card
    assert "No 3D scores lie beside this model" in card
    assert "had been opened before: not known" in card
    assert "phantoms or synthetic." not in card
    assert cells(card, "chosen by") == ["val/psnr\\_masked (not known)"]


def test_every_model_folder_has_a_card_that_tells_what_its_data_were(phantom_data, tmp_path):
    run = tiny_run(data={"size": SIZE})
    grid = SliceGrid("resize", SIZE, 8.0, 12.0)
    facts = make_card(run, phantom_data, trial="ngf.keep", epoch=3, value=23.456)
    weights = Generator(run.generator).state_dict()
    save_model(tmp_path / "model", weights, run=run, grid=grid, card=facts)
    card = (tmp_path / "model" / "model_card.md").read_text()
    assert "**Research only. Not a medical device; not for treatment planning.**" in card
    assert cells(card, "training cases") == ["4"]
    assert cells(card, "validation cases") == ["1"]
    assert cells(card, "test cases, kept apart") == ["1"]
    assert cells(card, "MR spacing left-right, mm") == ["4", "4", "4"]
    assert cells(card, "MR spacing foot-head, mm") == ["12", "12", "12"]
    assert f"outside this field of {SIZE * 8} x {SIZE * 8} mm" in card
    low, middle, high = map(float, cells(card, "raw MR in the head, percentile 50"))
    assert 0 < low <= middle <= high
    tissues = [float(cells(card, f"share of the head that is {t} in the CT")[1])
               for t in ("air", "soft", "bone")]  # fmt: skip
    assert sum(tissues) == pytest.approx(1, abs=0.05), "medians of shares that add up to 1"
    assert cells(card, "chosen by") == ["val/psnr\\_masked 23.46"]
    assert facts["data_digest"] in card
    assert f"torch {facts['software']['torch']}" in card


def test_only_ids_that_say_so_make_a_model_one_that_has_seen_no_patient():
    seen = {"phantom": ["PHANTOM-001", "SURROGATE-7"], "mixed": ["PHANTOM-001", "a3f9"]}
    texts = {name: model_card(content(card={**CARD, "trained_on": ids})) for name, ids in
             seen.items()}  # fmt: skip
    assert "**It has seen no patient**" in texts["phantom"]
    assert "It has seen no patient" not in texts["mixed"]
    assert cells(texts["mixed"], "of these phantoms or synthetic, by their ids") == ["1"]


def test_scores_come_with_number_mean_sd_worst_and_unit():
    table_of = scored("mae_head", "HU", [100.0, 110.0, 126.0])
    card = model_card(content(card={**CARD, "trained_on": ["x"]}), table_of)
    # mean 112; SD: squares 144, 4, 196 are 344, halved 172, whose root is 13.1
    assert cells(card, "mae\\_head")[:5] == ["HU", "3", "112.0", "13.1", "126.0"]
    assert "3 cases, none of which it has learnt from" in card
    assert "**So few cases say little of the next patient.**" in card
    dice = model_card(content(), scored("dice_hu250", "1", [0.8, 0.7] * 5))
    assert cells(dice, "dice\\_hu250")[4] == "0.7000", "the worst Dice is the lowest"
    assert "So few cases" not in dice
    assert "10 cases, of which it is not known whether it was trained on them" in dice


def test_an_undefined_score_is_counted_and_left_out_of_the_mean():
    card = model_card(content(), scored("hd95_hu250", "mm", [4.0, float("nan")]))
    assert cells(card, "hd95\\_hu250")[:5] == ["mm", "1 of 2", "4.00", "-", "4.00"]


def test_scores_on_cases_that_the_model_has_learnt_from_are_called_so():
    card = {**CARD, "trained_on": ["case-0", "case-1", "other"]}
    text = model_card(content(card=card), scored("mae_head", "HU", [100.0, 110.0, 126.0]))
    assert "3 cases, **2 of which it was trained on**" in text


def test_without_a_table_the_means_of_the_card_stand_without_a_number_of_cases():
    card = {**CARD, "validation": {"val3d/mae_bone": 401.26, "val3d/mae_bone_sd": 12.0}}
    text = model_card(content(card=card))
    assert cells(text, "mae\\_bone")[:5] == ["HU", "not known", "401.3", "12.0", "-"]


def test_objections_notes_and_openings_of_the_test_set_are_told():
    card = {**CARD, "note": "for the *demo*\n| alone", "overridden": ["mr_leak 0.31"],
            "test_opened": 3, "test_opened_for_it": 1}  # fmt: skip
    text = model_card(content(card=card))
    assert "- **promoted against an objection**: mr\\_leak 0.31\n" in text
    assert "- note: for the \\*demo\\* \\| alone\n" in text
    assert "- its data's test set had been opened 3 times before, for this model 1 time\n" in text
    assert model_card(content(card={**CARD, "overridden": ""})).count("objection") == 0


def test_a_schedule_is_told_by_epochs_counted_from_1():
    text = model_card(content(schedule={"lambda_ngf": {0: 20, 3: 0}}))
    assert cells(text, "lambda\\_ngf, by epochs") == ["1-3: 20, 4-6: 0"]


def test_background_and_geometry_are_told_as_the_model_predicts():
    as_trained = model_card(content())
    assert "resampled to 32 x 32 pixels of 8 mm every 12 mm, centred on the head" in as_trained
    assert "may leave a faint fog" in as_trained
    other = model_card(content(geometry="native_tiles", background="air"))
    assert "seen at its own scale in tiles of 32 x 32 pixels" in other
    assert "So is all that is further than 5 mm from the head" in other
    assert "may leave a faint fog" not in other


def test_a_given_models_path_is_not_told():
    init = {"model": "/somebody/models/first", "digest": "d1" * 32}
    text = model_card(content(init=init))
    assert cells(text, "started from") == [f"another model, digest {'d1' * 32}"]
    assert "somebody" not in text


def test_a_card_is_written_anew_when_the_scores_have_come(tmp_path):
    run = tiny_run()
    save_model(tmp_path / "model", Generator(run.generator).state_dict(), run=run,
               grid=SliceGrid(**GRID), card=CARD)  # fmt: skip
    scored("mae_head", "HU", [100.0]).to_parquet(tmp_path / "model" / "validation.parquet")
    write_card(tmp_path / "model")
    text = (tmp_path / "model" / "model_card.md").read_text()
    assert cells(text, "mae\\_head")[:4] == ["HU", "1", "100.0", "-"]


def test_every_table_has_as_many_cells_in_a_row_as_titles():
    text = model_card(content(), scored("mr_leak", "1", [0.1, 0.2]))
    for part in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        widths = {len(re.split(r"(?<!\\)\|", line)) for line in part.splitlines()}
        assert len(widths) == 1, part
    assert json.dumps(text).count("None") == 0
