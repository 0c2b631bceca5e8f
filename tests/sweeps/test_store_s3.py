"""The store in an object store: a server for S3 on this machine, from the package `moto`."""

import multiprocessing
import os
import threading

import pytest

from sweeps.store.refs import drop_ref, read_refs, wanted, write_ref
from sweeps.store.store import Damaged, Missing, Store, StoreError, Unreachable
from tests.sweeps.test_refs import a_ref

pytestmark = pytest.mark.services
KEY, OTHER = "3f9a" * 8, "77" * 16
FILES = {"state.pt": os.urandom(6_000_000), "history.json": b"[]", "epoch-0003_p01.png": b"\x89PNG"}


@pytest.fixture(scope="module")
def server():
    moto_server = pytest.importorskip("moto.server")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        found = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
        found.start()
        yield found.get_host_and_port()
        found.stop()


@pytest.fixture
def bucket(server, request):
    import boto3

    host, port = server
    name = f"bucket-{abs(hash(request.node.name))}"
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
    client.create_bucket(Bucket=name)
    return client, name, f"endpoint_override={host}:{port}&scheme=http&region=us-east-1"


@pytest.fixture
def store(bucket) -> Store:
    _, name, options = bucket
    return Store(f"s3://{name}/stages?{options}", patience=1)


def objects(bucket) -> list[str]:
    client, name, _ = bucket
    found = client.list_objects_v2(Bucket=name).get("Contents", [])
    return [item["Key"] for item in found if not item["Key"].endswith("/")]


def test_what_is_put_comes_back_and_commit_is_the_last_object(store, bucket):
    assert not store.has(KEY)
    assert not store.exists()
    assert store.put(KEY, FILES)
    assert not store.put(KEY, {"state.pt": b"other"})
    assert store.get_all(KEY) == FILES
    assert store.which([KEY, OTHER]) == {KEY}
    assert list(store.keys()) == [KEY]
    assert store.info(KEY).bytes == sum(map(len, FILES.values()))
    assert len(objects(bucket)) == 5  # three files, COMMIT, STORE: no temporary names
    store.drop(KEY)
    store.drop(KEY)
    assert [path.rpartition("/")[2] for path in objects(bucket)] == ["STORE"]
    assert list(store.keys()) == []
    with pytest.raises(Missing):
        store.get(KEY, "state.pt")


def test_damage_is_told_and_set_aside(store, bucket):
    client, name, _ = bucket
    store.put(KEY, FILES)
    (path,) = [path for path in objects(bucket) if path.rpartition("/")[2].startswith("state-")]
    client.put_object(Bucket=name, Key=path, Body=b"short")
    with pytest.raises(Damaged, match="has changed"):
        store.get(KEY, "state.pt")
    store.set_aside(KEY, "short")
    assert not store.has(KEY)
    assert sum("set-aside" in path for path in objects(bucket)) == 5
    assert store.put(KEY, FILES)
    client.delete_object(Bucket=name, Key=path)
    assert store.get_all(KEY) == FILES


def test_leftovers_are_tidied(store, bucket):
    client, name, _ = bucket
    store.put(KEY, FILES)
    client.put_object(Bucket=name, Key=f"stages/{KEY[:2]}/{KEY}/state-0-0.pt", Body=b"second")
    client.put_object(Bucket=name, Key=f"stages/{OTHER[:2]}/{OTHER}/state-0-0.pt", Body=b"killed")
    store.tidy([KEY, OTHER])
    assert len(objects(bucket)) == 5
    assert store.get_all(KEY) == FILES


def test_refs_are_kept_there_too(store):
    write_ref(store, a_ref("a"))
    write_ref(store, a_ref("b", seed="x"))
    write_ref(store, a_ref("b", seed="y"))
    assert read_refs(store) == [a_ref("a"), a_ref("b", seed="y")]
    assert wanted(store) == {"a2" * 8, "a3" * 8, "y2" * 8, "y3" * 8}
    drop_ref(store, "a")
    assert wanted(store) == {"y2" * 8, "y3" * 8}


def write(root: str, number: int) -> None:
    Store(root, patience=5).put(KEY, {"state.pt": b"%d" % number * 1000, "n": b"%d" % number})


def test_writers_that_race_leave_one_whole_stage(store):
    processes = [
        multiprocessing.get_context("spawn").Process(target=write, args=(store.root, number))
        for number in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    found = store.get_all(KEY)
    assert found["state.pt"] == found["n"] * 1000
    store.tidy([KEY])
    assert store.get_all(KEY) == found


def test_a_bucket_that_is_gone_is_waited_for_and_never_believed_empty(store, bucket):
    client, name, _ = bucket
    store.put(KEY, {"n": b"1"})
    paths = objects(bucket)
    content = {p: client.get_object(Bucket=name, Key=p)["Body"].read() for p in paths}

    def empty() -> None:
        for path in content:
            client.delete_object(Bucket=name, Key=path)

    def refill() -> None:
        for path, body in content.items():
            client.put_object(Bucket=name, Key=path, Body=body)

    empty()
    with pytest.raises(Unreachable, match="STORE is not there"):
        store.has(KEY)
    timer = threading.Timer(0.3, refill)
    timer.start()
    assert Store(store.root, patience=20).has(KEY)
    timer.join()


def test_a_server_that_is_not_there_is_told_after_patience():
    away = Store("s3://b/stages?endpoint_override=127.0.0.1:9&scheme=http&region=x", patience=0)
    with pytest.raises(StoreError, match="could not be reached"):
        away.has(KEY)
