"""`pct promote --rollback`, and what a kill or a failed upload leaves of any promotion."""

import json
from datetime import UTC, datetime

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pct.__main__ import main
from pct.model import find_model, load_model
from sweeps.promotion.registry import CHAMPION, NAME, PREVIOUS
from tests.sweeps.dying import dying_after

NEVER = 10**6


def aliases(promotable) -> tuple[str | None, str | None]:
    return promotable.at(CHAMPION), promotable.at(PREVIOUS)


def loads(promotable) -> str:
    """The trial of the champion, as prediction would load it."""
    address = "models:/pct@champion"
    return load_model(find_model(address, tracking=promotable.place.uri)).card["trial"]


def test_the_way_back_is_gone_step_by_step_and_ends_in_words(promotable, capsys):
    assert promotable.pct("--trial", "one") == promotable.pct("--trial", "two") == 0
    assert promotable.pct("--trial", "one", "--force", "--note", "third") == 0
    assert aliases(promotable) == ("one", "two")
    capsys.readouterr()
    assert promotable.pct("--rollback", "--note", "fog at the edges") == 0
    assert capsys.readouterr().out == (
        "rolled back: version 3 (one), fog at the edges\n"
        "models:/pct@champion is version 2 (two) now\n"
    )
    assert aliases(promotable) == ("two", "one")
    assert promotable.pct("--rollback") == 0
    assert aliases(promotable) == ("one", None)
    assert promotable.pct("--rollback") == 2
    assert "version 1 (one) replaced no other champion: nothing to roll back to." in (
        capsys.readouterr().err
    )
    assert (aliases(promotable), loads(promotable)) == (("one", None), "one")


def test_a_version_rolled_back_says_when_and_why(promotable):
    assert promotable.pct("--trial", "one") == promotable.pct("--trial", "two") == 0
    assert promotable.pct("--rollback", "--note", "fog at the edges") == 0
    tags = promotable.version(2).tags
    assert tags["pct.rolled_back_note"] == "fog at the edges"
    since = datetime.now(UTC) - datetime.fromisoformat(tags["pct.rolled_back_utc"])
    assert 0 <= since.total_seconds() < 60
    assert "pct.rolled_back_utc" not in promotable.version(1).tags
    first, after = promotable.version(2).description.split("\n\n")[:2]
    assert first == f"Rolled back on {tags['pct.rolled_back_utc']}: fog at the edges."
    assert after.startswith("two@1: ")


def test_weights_that_were_rolled_back_are_not_promoted_again_unless_forced(promotable, capsys):
    assert promotable.pct("--trial", "one") == promotable.pct("--trial", "two") == 0
    assert promotable.pct("--rollback", "--note", "fog at the edges") == 0
    assert promotable.pct("--trial", "two") == 2
    told = capsys.readouterr().err
    when = promotable.version(2).tags["pct.rolled_back_utc"]
    assert f"rolled back on {when}, as version 2 (two): fog at the edges" in told
    assert promotable.pct("--trial", "two", "--force", "--note", "fog was the MR's") == 0
    assert (aliases(promotable), promotable.numbers()) == (("two", "one"), [1, 2, 3])


def test_nothing_promoted_is_nothing_to_roll_back(promotable, capsys, tmp_path, monkeypatch):
    assert promotable.pct("--rollback") == 2
    assert "no model is champion at sqlite:///" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path / "DATA")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert main(["promote", "--rollback"]) == 2
    assert "Say where: --tracking URI." in capsys.readouterr().err
    assert not (tmp_path / "DATA" / "mlflow.db").exists(), "looking must not make a database"


def test_without_a_folder_the_database_here_is_meant(promotable, capsys, tmp_path, monkeypatch):
    assert promotable.pct("--trial", "one") == promotable.pct("--trial", "two") == 0
    monkeypatch.chdir(tmp_path)
    assert main(["promote", "--rollback"]) == 0
    assert "models:/pct@champion is version 1 (one) now" in capsys.readouterr().out


def test_the_way_back_takes_no_trial_and_no_force(promotable, capsys):
    assert promotable.pct("--rollback", "--trial", "one") == 2
    assert "--rollback goes with none of --trial, --force" in capsys.readouterr().err


def test_a_version_that_was_deleted_is_no_way_back(promotable, capsys):
    assert promotable.pct("--trial", "one") == promotable.pct("--trial", "two") == 0
    promotable.client.delete_model_version(NAME, "1")
    assert promotable.pct("--rollback") == 2
    assert "version 1, which version 2 (two) replaced, is no more in the registry" in (
        capsys.readouterr().err
    )
    assert promotable.at(CHAMPION) == "two"


def test_a_version_whose_files_are_gone_is_no_way_back(promotable, capsys):
    client = promotable.client
    client.create_registered_model(NAME)
    lost = client.create_model_version(NAME, source=(promotable.folder / "lost").as_uri())
    client.set_registered_model_alias(NAME, CHAMPION, lost.version)
    assert promotable.pct("--trial", "one", "--force", "--note", "lost") == 0
    assert promotable.pct("--rollback") == 2
    assert "models:/pct/1: not in the registry" in capsys.readouterr().err
    assert promotable.at(CHAMPION) == "one"


def calls_of(promotable, *words: str) -> list[str]:
    with dying_after(NEVER) as made:
        assert promotable.pct(*words) == 0
    return made


PROMOTION = [
    "create_registered_model", "create_logged_model", "log_model_artifacts", "log_outputs",
    "finalize_logged_model", "create_model_version", "set_logged_model_tags",
    "set_registered_model_alias", "set_registered_model_alias",
]  # fmt: skip

WAY_BACK = [
    "set_model_version_tag", "update_model_version", "set_registered_model_alias",
    "set_registered_model_alias",
]  # fmt: skip


def test_these_are_the_calls_of_a_promotion(promotable):
    """The next test dies after each, and before the first."""
    assert promotable.pct("--trial", "one") == 0
    assert calls_of(promotable, "--trial", "two") == PROMOTION


@pytest.mark.parametrize("calls", range(len(PROMOTION)))
def test_a_promotion_killed_after_any_call_leaves_a_champion_and_is_finished_by_the_same_command(
    promotable, calls
):
    assert promotable.pct("--trial", "one") == 0
    with dying_after(calls):
        assert promotable.pct("--trial", "two") == 130
    assert loads(promotable) == "one"
    assert promotable.pct("--trial", "two") == 0
    assert (aliases(promotable), loads(promotable)) == (("two", "one"), "two")
    assert promotable.numbers() == [1, 2], "one promotion, one version"
    told = json.loads((promotable.folder / "sweep.json").read_text())["champion"]
    assert (told["trial"], told["version"]) == ("two", "2")


@pytest.mark.parametrize("calls", range(4))
def test_a_way_back_killed_after_any_call_is_finished_by_the_same_command(promotable, calls):
    for words in (["one"], ["two"], ["one", "--force", "--note", "third"]):
        assert promotable.pct("--trial", *words) == 0
    with dying_after(calls) as made:
        assert promotable.pct("--rollback") == 130
    assert (loads(promotable), len(made)) == ("one", calls + 1)
    assert calls_of(promotable, "--rollback") == WAY_BACK
    assert aliases(promotable) == ("two", "one")
    assert promotable.version(3).description.count("Rolled back on") == 1


def test_a_promotion_killed_after_its_last_call_is_told_to_the_report_by_the_next(promotable):
    assert promotable.pct("--trial", "one") == 0
    summary = promotable.folder / "sweep.json"
    before = summary.read_text()
    assert promotable.pct("--trial", "two") == 0
    told = summary.read_text()
    summary.write_text(before)
    assert promotable.pct("--trial", "two") == 0
    assert summary.read_text() == told != before


def test_a_kill_before_the_last_call_does_not_lead_the_way_back_astray(promotable):
    """`previous` is the champion itself then: what it replaced is known from its tag."""
    assert promotable.pct("--trial", "one") == promotable.pct("--trial", "two") == 0
    with dying_after(len(PROMOTION) - 1):
        assert promotable.pct("--trial", "one", "--force", "--note", "third") == 130
    assert aliases(promotable) == ("two", "two")
    assert promotable.pct("--rollback") == 0
    assert aliases(promotable) == ("one", None)


def test_a_failed_upload_leaves_no_ready_model_and_no_alias_moved(promotable, monkeypatch, capsys):
    assert promotable.pct("--trial", "one") == 0

    def full(self, model_id, local_dir):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_model_artifacts", full)
        assert promotable.pct("--trial", "two") == 2
    told = capsys.readouterr().err
    assert "a call failed ([Errno 28] No space left on device). Nothing is half done" in told
    client = promotable.client
    experiments = [found.experiment_id for found in client.search_experiments()]
    status = {
        model.tags["pct.trial"]: str(model.status)
        for model in client.search_logged_models(experiments)
    }
    assert status == {"one": "READY", "two": "FAILED"}
    assert (aliases(promotable), promotable.numbers()) == (("one", None), [1])


def test_a_slip_in_the_folders_name_goes_back_nowhere(promotable, capsys):
    for trial in ("one", "two"):
        assert promotable.pct("--trial", trial) == 0
    slip = promotable.folder.with_name("OUTT")
    assert main(["promote", str(slip), "--rollback", "--tracking", promotable.place.uri]) == 2
    assert "no sweep here" in capsys.readouterr().err
    assert promotable.at(CHAMPION) == "two"


def test_a_last_answer_that_is_lost_has_gone_back_once(promotable, monkeypatch, capsys):
    for trial in ("one", "two"):
        assert promotable.pct("--trial", trial) == 0
    move = MlflowClient.set_registered_model_alias

    def unheard(client, name, alias, version):
        move(client, name, alias, version)
        raise MlflowException("timed out")

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", unheard)
    assert promotable.pct("--rollback") == 0
    assert "version 1 (one) now" in capsys.readouterr().out
    assert promotable.at(CHAMPION) == "one"
