"""A place's address: its driver is spelled out, its password never shown."""

import pytest
from sqlalchemy.engine import make_url

from sweeps.tracking import NoTracking, Place, client_at, contact
from sweeps.tracking.place import without_secrets

SECRET = "s3cr/et#1"


def test_a_postgres_address_gets_its_driver(tmp_path):
    for given in ("postgres://u@h/db", "postgresql://u@h/db", "postgresql+psycopg://u@h/db"):
        assert Place(given, tmp_path).uri == "postgresql+psycopg://u@h/db"
    for other in ("postgresql+psycopg2://u@h/db", "sqlite:///x.db", "http://h:5000"):
        assert Place(other, tmp_path).uri == other


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        (
            "postgresql+psycopg://ann:s3cr%2Fet%231@db:5432/m",
            "postgresql+psycopg://ann:***@db:5432/m",
        ),
        ("postgresql+psycopg://ann:s3cr/et#1@db/m", "postgresql+psycopg://ann:***@db/m"),
        (
            "postgresql+psycopg://db/m?user=a&password=s3cr/et#1",
            "postgresql+psycopg://db/m?user=a&password=***",
        ),
        ("https://ann:s3cr%2Fet%231@mlflow.site", "https://ann:***@mlflow.site"),
        ("https://mlflow.site:5000", "https://mlflow.site:5000"),
        ("sqlite:///out/mlflow.db", "sqlite:///out/mlflow.db"),
    ],
)
def test_a_place_is_shown_without_its_password(tmp_path, uri, shown):
    place = Place(uri, tmp_path)
    assert place.shown == shown
    assert "s3cr" not in repr(place)
    if "***" in shown:
        for spelling in (SECRET, "s3cr%2Fet%231", uri):
            assert place.hide(f"failed: {spelling} was refused").count("s3cr") == 0


def test_links_without_a_password_are_left_as_they_are():
    link = "http://127.0.0.1:5000/#/experiments/1?filter=a@b:c"
    assert without_secrets(link) == link


def test_a_missing_driver_is_told_with_what_installs_it(tmp_path, monkeypatch):
    monkeypatch.setattr(contact, "find_spec", lambda name: None)
    with pytest.raises(NoTracking) as caught:
        client_at(Place(f"postgres://ann:{SECRET}@127.0.0.1/m", tmp_path))
    assert "pip install 'pct-sweeps[postgres]'" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_database_that_is_away_is_told_at_once_and_without_its_password(tmp_path):
    pytest.importorskip("psycopg")
    with pytest.raises(
        NoTracking, match=r"ann:\*\*\*@127\.0\.0\.1:9/m: cannot be reached"
    ) as caught:
        client_at(Place(f"postgres://ann:{SECRET}@127.0.0.1:9/m", tmp_path))
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_server_that_is_away_leaves_no_file_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(NoTracking, match="cannot be reached"):
        client_at(Place("http://127.0.0.1:9", tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_call_to_postgres_ends_in_time(monkeypatch):
    monkeypatch.delenv("PGOPTIONS", raising=False)
    url = make_url(contact.bounded("postgresql+psycopg://ann:s3cr/et#1?@db:5432/m"))
    assert (url.username, url.password, url.host, url.port) == ("ann", "s3cr/et#1?", "db", 5432)
    assert url.database == "m"
    assert url.query == {
        "keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "2",
        "tcp_user_timeout": "20000", "options": "-c statement_timeout=10000",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "environment", "options"),
    [
        ("options=-c%20search_path%3Dx", "", "-c search_path=x -c statement_timeout=10000"),
        ("options=-c%20statement_timeout%3D5", "-c a=b", "-c statement_timeout=5"),
        ("sslmode=require", "-c a=b", "-c a=b -c statement_timeout=10000"),
        ("sslmode=require", "-c statement_timeout=0", "-c statement_timeout=0"),
    ],
)
def test_what_the_user_asks_of_postgres_stays(monkeypatch, query, environment, options):
    monkeypatch.setenv("PGOPTIONS", environment)
    given = f"postgresql+psycopg://u@/m?host=a&host=b&keepalives_idle=99&{query}"
    kept = make_url(contact.bounded(given)).query
    assert kept["options"] == options
    assert (kept["host"], kept["keepalives_idle"]) == (("a", "b"), "99")
    assert kept.get("sslmode") == make_url(given).query.get("sslmode")


@pytest.mark.parametrize("uri", ["sqlite:///x.db", "http://h:5000", "postgresql+pg8000://u@h/m"])
def test_what_libpq_does_not_speak_to_stays_as_it_is(uri):
    assert contact.bounded(uri) == uri
