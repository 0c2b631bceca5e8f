"""A real Postgres as the store of the cluster: first contact, a sweep, eight writers at once."""

import shutil
import uuid

import pytest
import sqlalchemy

from sweeps.runner import Where
from sweeps.session import run_sweep
from sweeps.tracking import Place, client_at, contact
from tests.sweeps.postgres import PASSWORD, new_database, postgres
from tests.sweeps.small_sweep import sweep_of
from tests.sweeps.test_secrets import holding
from tests.sweeps.test_tracking_away import FORK, assert_all_arrived
from tests.sweeps.writers import EPOCHS, METRICS, all_at_once, begin_sweep, write_sweep

pytestmark = pytest.mark.services
WRITERS = 8


@pytest.fixture(scope="module")
def server_uri():
    with postgres() as address:
        yield address


@pytest.fixture
def place(server_uri, tmp_path) -> Place:
    """An empty database."""
    name = f"m{uuid.uuid4().hex}"
    return Place(new_database(server_uri, name), tmp_path / "artifacts")


def test_eight_programs_find_the_schema_and_one_experiment(place):
    assert all_at_once(begin_sweep, place, WRITERS) == [0] * WRITERS
    client = client_at(place)
    (shared,) = [e for e in client.search_experiments() if e.name == "shared"]
    assert len(client.search_runs([shared.experiment_id])) == WRITERS


def test_a_sweep_arrives_whole_and_its_password_stands_nowhere(
    place, tmp_path, phantom_data, capfd, caplog
):
    sweep = sweep_of(tmp_path / "OUT", phantom_data, FORK)
    run_sweep(sweep, place, Where(here=True))
    assert_all_arrived(sweep, place)
    run_sweep(sweep, place, Where(here=True))
    assert_all_arrived(sweep, place)
    experiment = client_at(place).get_experiment_by_name("pct/data-tiny")
    assert experiment.artifact_location == (tmp_path / "artifacts").as_uri()
    seen = capfd.readouterr()
    assert PASSWORD not in seen.out + seen.err + caplog.text
    assert holding(tmp_path, PASSWORD) == []


def test_postgres_is_told_how_long_a_statement_may_take(place):
    engine = sqlalchemy.create_engine(contact.bounded(place.uri))
    with engine.connect() as connection:
        found = connection.execute(sqlalchemy.text("SHOW statement_timeout")).scalar()
    assert found == "10s"


def test_of_eight_writers_nothing_is_lost(place, tmp_path, phantom_data):
    shutil.copytree(phantom_data, tmp_path / "data")
    assert all_at_once(write_sweep, place, WRITERS) == [0] * WRITERS
    client = client_at(place)
    (shared,) = [e for e in client.search_experiments() if e.name == "shared"]
    runs = client.search_runs([shared.experiment_id], "tags.`pct.kind` = 'trial'")
    assert len(runs) == WRITERS
    points = 0
    for run in runs:
        for metric in ("val/psnr_masked", *(f"loss/{n}" for n in range(METRICS))):
            history = client.get_metric_history(run.info.run_id, metric)
            assert [point.step for point in history] == list(range(1, EPOCHS + 1))
            points += len(history)
    assert points == WRITERS * EPOCHS * (1 + METRICS)
