"""Where cases run: a cluster that does not answer is told at once, before anything is done."""

import socket
import time

import pytest
import typer

from data_prep import tasks
from data_prep.cli import prep
from data_prep.tasks import BadAddress, refuse_dead
from pct.__main__ import _guarded

REFUSED = r"--address {}: nothing answers there \(.*\)\. Start the cluster, or leave"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_dead_cluster_is_told_in_a_sentence_and_at_once(scheme):
    address, began = f"{scheme}127.0.0.1:{free_port()}", time.monotonic()
    with pytest.raises(BadAddress, match=REFUSED.format(address)):
        refuse_dead(address)
    assert time.monotonic() - began < 6


def test_a_cluster_that_keeps_silent_is_given_up_after_five_seconds(monkeypatch):
    def silent(place, timeout):
        assert (place, timeout) == (("10.0.0.7", 6379), 5.0)
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", silent)
    with pytest.raises(BadAddress, match=REFUSED.format("10.0.0.7:6379")):
        refuse_dead("10.0.0.7:6379")


def test_what_answers_and_what_ray_finds_by_itself_pass():
    with socket.create_server(("127.0.0.1", 0)) as server:
        refuse_dead(f"127.0.0.1:{server.getsockname()[1]}")
    for word in (None, "auto", "local"):
        refuse_dead(word)


@pytest.mark.parametrize(
    "address", ["somewhere", "host:", "host:port", "host:99999", ":6379", "a..b:6379"]
)
def test_what_is_no_address_says_what_one_looks_like(address):
    with pytest.raises(BadAddress, match=r"expected auto, local, HOST:PORT or ray://HOST:PORT"):
        refuse_dead(address)


def test_the_command_ends_with_two_before_any_case_is_prepared(
    collection, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(tasks, "prepare_case", None)
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(typer.Exit) as caught:
        _guarded(prep)("synthrad", collection, tmp_path / "d", size=32, address=address)
    assert caught.value.exit_code == 2
    assert f"pct: --address {address}: nothing answers" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
