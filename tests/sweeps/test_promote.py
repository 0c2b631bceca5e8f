"""`pct promote` on a finished sweep: who is let through, and what is registered."""

import json
from pathlib import Path

import mlflow
import pandas as pd

from pct.model import find_model, load_model
from pct.scoring.ledger import LEDGER, Entrant, open_test_set, openings
from pct.scoring.score import entrant_of
from sweeps.job import read_outcome, write_outcome
from sweeps.promotion import promote as promoting
from sweeps.promotion.candidate import read_candidate, write_model
from sweeps.promotion.registry import ADDRESS, CHAMPION, NAME, PREVIOUS, find_champion

WORSE = {"mae_head": 120.0, "dice_hu250": 0.6}


def test_a_champion_is_told_with_what_comes_next(promotable, capsys, monkeypatch):
    assert promotable.pct("--trial", "one") == 0
    told = capsys.readouterr().out
    assert "one is the champion now: models:/pct@champion, version 1\n" in told
    where = f"models:/pct@champion --tracking {promotable.place.uri}"
    test_it = f"{promotable.folder} --trial one --test --tracking {promotable.place.uri}"
    assert f"pct promote {test_it}" in told
    assert f"pct predict {where} --mr mr.nii.gz" in told
    monkeypatch.chdir(promotable.folder.parent)
    assert promotable.pct("--trial", "two") == 0
    told = capsys.readouterr().out
    assert "pct promote OUT --trial two --test" in told
    assert "pct predict models:/pct@champion --mr mr.nii.gz --to pct.nii.gz" in told
    assert where not in told, "./mlflow.db is looked into anyway"


def test_the_second_champion_keeps_the_first_at_hand(promotable):
    assert promotable.pct("--trial", "one") == promotable.pct("--trial", "two") == 0
    assert (promotable.at(CHAMPION), promotable.at(PREVIOUS)) == ("two", "one")
    assert "pct.replaces" not in promotable.version(1).tags
    assert promotable.version(2).tags["pct.replaces"] == "1"
    assert promotable.version(2).tags["pct.test_opened"] == "0"
    for address, trial in ((ADDRESS, "two"), ("models:/pct@previous", "one")):
        model = load_model(find_model(address, tracking=promotable.place.uri))
        assert model.card["trial"] == trial
    assert promotable.version(1).source != promotable.version(2).source


def test_a_later_promotion_of_a_trial_leaves_the_files_of_its_earlier_version(promotable):
    for trial in ("one", "two"):
        assert promotable.pct("--trial", trial) == 0
    assert promotable.pct("--trial", "one", "--force", "--note", "again") == 0
    notes = [
        load_model(find_champion(f"models:/pct/{number}", tracking=promotable.place.uri)).card[
            "note"
        ]
        for number in (1, 3)
    ]
    assert notes == ["", "again"]


def test_mlflow_itself_finds_the_folder_of_an_alias(promotable, monkeypatch):
    assert promotable.pct("--trial", "one") == 0
    monkeypatch.setenv("MLFLOW_TRACKING_URI", promotable.place.uri)
    folder = mlflow.artifacts.download_artifacts(artifact_uri=ADDRESS)
    assert load_model(find_model(folder)).card["trial"] == "one"
    assert (Path(folder) / "MLmodel").is_file(), "flavours are added before the upload"


def test_the_same_trial_again_changes_nothing(promotable, capsys):
    assert promotable.pct("--trial", "one") == 0
    summary = promotable.folder / "sweep.json"
    before = summary.stat().st_mtime_ns
    assert promotable.pct("--trial", "one") == 0
    assert "one is the champion already: models:/pct@champion, version 1" in capsys.readouterr().out
    assert promotable.numbers() == [1]
    assert summary.stat().st_mtime_ns == before, "a report would be out of date for nothing"
    assert json.loads(summary.read_text())["champion"] == {
        "trial": "one", "version": "1", "model": "models:/pct/1",
    }  # fmt: skip


def test_a_worse_trial_is_refused_with_its_numbers_and_nothing_is_made(promotable, capsys):
    assert promotable.pct("--trial", "one") == 0
    promotable.score("two", **WORSE)
    assert promotable.pct("--trial", "two") == 2
    told = capsys.readouterr().err
    assert "two is not promoted:" in told
    assert "mae_head 120.0 against the champion's 100.0, at most 105.0" in told
    assert "dice_hu250 0.6000 against the champion's 0.7000, at least 0.6900" in told
    assert (promotable.at(CHAMPION), promotable.numbers()) == ("one", [1])
    assert not (promotable.folder / "models" / "two").exists()


def test_a_forced_trial_has_its_note_and_what_was_overridden_on_record(promotable, capsys):
    assert promotable.pct("--trial", "one") == 0
    promotable.score("two", mae_head=120.0)
    assert promotable.pct("--trial", "two", "--force") == 2
    assert "--force needs a --note that says why" in capsys.readouterr().err
    assert promotable.pct("--trial", "two", "--force", "--note", "a pilot") == 0
    objection = "mae_head 120.0 against the champion's 100.0, at most 105.0"
    assert f"overridden: {objection}\n" in capsys.readouterr().out
    tags = promotable.version(2).tags
    assert (tags["pct.note"], tags["pct.overridden"]) == ("a pilot", objection)
    card = load_model(find_champion(ADDRESS, tracking=promotable.place.uri)).card
    assert (card["note"], card["overridden"]) == ("a pilot", [objection])
    text = promotable.client.get_model_version(NAME, "2").description
    assert "**Promoted against the gate**, which found:" in text
    assert f"- {objection}" in text
    assert "Note: a pilot" in text
    experiment = promotable.client.get_run(promoting.run_of(promotable.folder, "two")).info
    (logged,) = promotable.client.search_logged_models(
        [experiment.experiment_id], filter_string="tags.`pct.trial` = 'two'"
    )
    assert logged.tags["mlflow.note.content"] == text
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [{"name": "pct", "version": 2}]


def test_a_trial_that_paints_the_mr_into_the_pseudo_ct_is_refused_as_the_first(promotable, capsys):
    promotable.score("one", mr_leak=0.27)
    assert promotable.pct("--trial", "one") == 2
    assert "mr_leak 0.27, at most 0.20" in capsys.readouterr().err
    assert promotable.numbers() == []


def test_a_trial_without_scores_or_end_is_refused_in_words(promotable, capsys):
    """Fault 36: nothing untested is promoted."""
    job = promotable.job("one")
    job.scores.unlink()
    assert promotable.pct("--trial", "one") == 2
    assert f"has no 3D scores: {job.scores} is missing. Remove" in capsys.readouterr().err
    promotable.score("two")
    two = read_outcome(promotable.job("two"))
    failed = two.model_copy(update={"status": "FAILED", "reason": "loss/g is nan"})
    write_outcome(promotable.job("two"), failed)
    assert promotable.pct("--trial", "two") == 2
    told = capsys.readouterr().err
    assert "trial 'two' failed (loss/g is nan), so it has no scores to be judged by" in told
    assert "Finished are: one." in told
    promotable.job("two").outcome.unlink()
    assert promotable.pct("--trial", "two") == 2
    assert "trial 'two' has not finished" in capsys.readouterr().err
    assert promotable.pct("--trial", "tow") == 2
    assert "no trial 'tow' here: did you mean two?" in capsys.readouterr().err
    job.outcome.unlink()
    assert promotable.pct() == 2
    assert "no trial has finished here. Run the same pct sweep again." in capsys.readouterr().err
    assert promotable.numbers() == []


def test_a_torn_table_of_scores_is_told(promotable, capsys):
    promotable.job("one").scores.write_bytes(b"PAR1")
    assert promotable.pct("--trial", "one") == 2
    assert "cannot be read as Parquet" in capsys.readouterr().err


def test_scores_of_another_split_are_not_compared_with_the_champions(promotable, capsys):
    """Fault 36 again."""
    assert promotable.pct("--trial", "one") == 0
    path = promotable.job("two").scores
    pd.read_parquet(path).assign(split_sha="0" * 64).to_parquet(path)
    assert promotable.pct("--trial", "two") == 2
    assert "split_sha differs from the champion's: 000000000000 against" in capsys.readouterr().err


def test_the_best_of_the_finished_is_taken(promotable, capsys):
    values = {name: read_outcome(promotable.job(name)).best_value for name in ("one", "two")}
    best = max(values, key=values.get)
    assert promotable.pct() == 0
    assert f"{best} is the champion now" in capsys.readouterr().out
    other = promotable.job("one" if best == "two" else "two")
    better = read_outcome(other).model_copy(update={"best_value": values[best] + 1})
    write_outcome(other, better)
    assert promotable.pct() == 0
    assert f"{other.leaf} is the champion now" in capsys.readouterr().out


def test_data_prepared_anew_since_are_told(promotable, capsys):
    summary = promotable.folder / "sweep.json"
    content = json.loads(summary.read_text())
    content["data"]["digest"] = "0" * 64
    summary.write_text(json.dumps(content))
    assert promotable.pct("--trial", "one") == 2
    assert "has changed since the sweep: its digest was 000000000000 and is" in (
        capsys.readouterr().err
    )


def test_the_test_set_stays_shut_and_how_often_it_was_opened_is_on_record(promotable):
    job = promotable.job("one")
    mine = entrant_of(read_candidate(job, read_outcome(job)).model)
    for entrant in (Entrant("other@1", "feed"), mine, Entrant("third@1", "beef")):
        open_test_set(promotable.data, entrant)
    before = (promotable.data / LEDGER).read_bytes()
    assert (openings(promotable.data), openings(promotable.data, mine)) == (3, 1)
    assert promotable.pct("--trial", "one") == 0
    assert (promotable.data / LEDGER).read_bytes() == before
    version = promotable.version(1)
    assert (version.tags["pct.test_opened"], version.tags["pct.test_opened_for_it"]) == ("3", "1")
    card = load_model(find_champion(ADDRESS, tracking=promotable.place.uri)).card
    assert (card["test_opened"], card["test_opened_for_it"]) == (3, 1)
    text = promotable.client.get_model_version(NAME, "1").description
    assert text.startswith("one@1: the generator of that trial after that epoch, its best by val/")
    assert "had been opened 3 times, for this model once. It was the first champion." in text
    assert "mae_head 100.0 ± 10.0 HU" in text


def test_a_model_whose_beginning_has_seen_test_cases_or_other_ids_is_refused(
    promotable, capsys, tmp_path
):
    """`init: MODEL` hands on whom the given model has seen."""
    job = promotable.job("one")
    candidate = read_candidate(job, read_outcome(job))
    (test_case,) = candidate.cases.test
    write_model(candidate, tmp_path / "given", note="")
    path = tmp_path / "given" / "model.json"
    content = json.loads(path.read_text())
    content["card"]["trained_on"].append(test_case)
    content["card"]["id_keys"] = ["0a1b2c"]
    path.write_text(json.dumps(content))
    jobs = promotable.folder / "jobs.json"
    listed = json.loads(jobs.read_text())
    next(j for j in listed if j["leaf"] == "one")["run"]["init"] = {
        "model": str(tmp_path / "given"), "digest": "",
    }  # fmt: skip
    jobs.write_text(json.dumps(listed))
    assert promotable.pct("--trial", "one") == 2
    told = capsys.readouterr().err
    assert f"was trained on 1 of the test cases: {test_case}" in told
    assert "ids by another key (0a1b2c; here keep)" in told
    del content["card"]["id_keys"]  # a card of an earlier release
    path.write_text(json.dumps(content))
    assert promotable.pct("--trial", "one") == 2
    assert "ids by another key (unknown; here keep)" in capsys.readouterr().err


def test_a_champion_that_changes_meanwhile_is_not_passed_over(promotable, monkeypatch, capsys):
    assert promotable.pct("--trial", "one") == 0
    register = promoting.register

    def while_another(client, entry):
        number = register(client, entry)
        other = client.create_model_version(NAME, source="s3://elsewhere/model")
        client.set_registered_model_alias(NAME, CHAMPION, other.version)
        return number

    monkeypatch.setattr(promoting, "register", while_another)
    assert promotable.pct("--trial", "two") == 2
    told = capsys.readouterr().err
    assert "the champion has changed meanwhile: it is version 3 (not by pct promote)" in told
    assert "and was version 1 (one). It stays. Run the same command again." in told
    assert promotable.at(PREVIOUS) is None


def test_a_champion_whose_scores_are_gone_is_an_objection_that_can_be_overridden(
    promotable, capsys
):
    assert promotable.pct("--trial", "one") == 0
    client = promotable.client
    other = client.create_model_version(NAME, source=(promotable.folder / "no").as_uri())
    client.set_registered_model_alias(NAME, CHAMPION, other.version)
    assert promotable.pct("--trial", "two") == 2
    assert "the scores of the champion, version 2 (not by pct promote), cannot be read" in (
        capsys.readouterr().err
    )
    assert promotable.pct("--trial", "two", "--force", "--note", "the disk was lost") == 0
    assert promotable.at(CHAMPION) == "two"


def test_a_version_of_an_earlier_release_is_compared_with_and_replaced(promotable):
    """Its files lie among its run's artifacts, and it has few tags."""
    assert promotable.pct("--trial", "one") == 0
    client = promotable.client
    folder = find_champion(ADDRESS, tracking=promotable.place.uri)
    run_id = promoting.run_of(promotable.folder, "one")
    client.log_artifacts(run_id, str(folder), "pct-model")
    source = f"{client.get_run(run_id).info.artifact_uri}/pct-model"
    tags = {"pct.trial": "one", "pct.stage": "some", "pct.note": "", "pct.overridden": ""}
    old = client.create_model_version(NAME, source=source, run_id=run_id, tags=tags)
    client.set_registered_model_alias(NAME, CHAMPION, old.version)
    found = load_model(find_model(ADDRESS, tracking=promotable.place.uri))
    assert found.card["trial"] == "one"
    promotable.score("two", mae_head=120.0)
    assert promotable.pct("--trial", "two") == 2
    promotable.score("two", mae_head=101.0)
    assert promotable.pct("--trial", "two") == 0
    assert promotable.version(3).tags["pct.replaces"] == "2"


def test_a_sweep_that_has_not_ended_is_told_to_be_waited_for(promotable, capsys):
    (promotable.folder / "trials.parquet").unlink()
    assert promotable.pct("--trial", "one") == 2
    assert "its sweep has not ended: trials.parquet is missing" in capsys.readouterr().err
