"""Fault 23: passwords and tokens of the tracking place stand nowhere in what a sweep leaves."""

from pathlib import Path

from pct.__main__ import main
from sweeps.place import tracking_place
from tests.sweeps.small_sweep import SIZE

PASSWORD, TOKEN = "pw-4f1c9a7e", "tk-88d2c1b0"


def holding(folder: Path, secret: str) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [path for path in files if secret.encode() in path.read_bytes()]


def test_no_output_and_no_database_holds_a_secret(
    tmp_path, phantom_data, door, monkeypatch, capfd, caplog
):
    """Through a server whose address holds a password, and which goes away on the way."""
    caplog.set_level("DEBUG")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", TOKEN)
    uri = door.uri.replace("http://", f"http://ann:{PASSWORD}@")
    recipe, folder = tmp_path / "secretive.yaml", tmp_path / "OUT"
    recipe.write_text(
        f"base: smoke\nepochs: 2\ndata: {{size: {SIZE}}}\nval: {{slices: 1}}\n"
        "trials: {only: {}}\n"
    )
    call = ["sweep", str(recipe), "--data", str(phantom_data), "--to", str(folder), "--here"]
    call += ["--tracking", uri]
    assert main(call) == 0
    door.shut()
    assert main(call) == 2
    assert "ann:***@127.0.0.1" in capfd.readouterr().err
    door.open()
    assert main(["promote", str(folder), "--tracking", uri, "--force", "--note", "test"]) == 0
    seen = capfd.readouterr()
    for secret in (PASSWORD, TOKEN):
        assert secret not in seen.out + seen.err
        assert not [
            r for r in caplog.records if r.name.startswith("sweeps") and secret in r.message
        ]
        assert holding(tmp_path, secret) == []
        assert holding(door.folder, secret) == []
    assert tracking_place(folder, uri).uri == uri, "the address itself must still work"
