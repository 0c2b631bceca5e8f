"""How many leaves fit on a cluster, and which layouts would wait for ever."""

import pytest

from sweeps.layout import Cramped, lay_out_workers
from tests.tiny import tiny_run


def test_slots_are_counted_by_node_since_a_worker_cannot_straddle_two():
    run = tiny_run(batch=8, workers=2, threads=3)
    nodes = [{"CPU": 8.0}, {"CPU": 4.0}, {"CPU": 2.0}]
    layout = lay_out_workers(nodes, [run])
    assert layout.worker(run) == {"CPU": 3.0}
    assert layout.slots == (2 + 1 + 0) // 2


def test_enough_cpus_in_sum_but_on_no_node_are_refused_with_the_numbers():
    nodes = [{"CPU": 2.0}] * 4
    message = r"needs 1 workers with 3 CPU each; .* have 2 CPU; 2 CPU; 2 CPU; 2 CPU: room for 0"
    with pytest.raises(Cramped, match=message):
        lay_out_workers(nodes, [tiny_run(threads=3)])


def test_more_workers_than_places_are_refused():
    with pytest.raises(Cramped, match=r"needs 4 workers with 1 CPU each.*room for 2"):
        lay_out_workers([{"CPU": 2.0}], [tiny_run(batch=4, workers=4)])


def test_a_cluster_without_nodes_is_told():
    with pytest.raises(Cramped, match="nodes have no node: room for 0"):
        lay_out_workers([], [tiny_run()])


@pytest.mark.parametrize(
    ("gpus", "slots"), [(1.0, 4), (0.5, 8), (0.4, 8), (0.3, 12), (0.01, 32), (2.0, 2)]
)
def test_a_share_of_a_gpu_lets_leaves_share_it_as_far_as_cpus_reach(gpus, slots):
    layout = lay_out_workers([{"CPU": 32.0, "GPU": 4.0}], [tiny_run()], gpus=gpus)
    assert layout.slots == slots
    assert layout.worker(tiny_run()) == {"CPU": 1.0, "GPU": gpus}


def test_nodes_without_gpus_take_no_workers_where_others_have_them():
    layout = lay_out_workers([{"CPU": 64.0}, {"CPU": 8.0, "GPU": 2.0}], [tiny_run()])
    assert layout.slots == 2


def test_two_workers_of_a_leaf_on_one_gpu_are_refused():
    run = tiny_run(batch=4, workers=2)
    with pytest.raises(Cramped, match=r"0\.5 with workers=2: nccl refuses"):
        lay_out_workers([{"CPU": 8.0, "GPU": 2.0}], [run], gpus=0.5)


def test_one_and_a_half_gpus_are_no_count():
    with pytest.raises(Cramped, match=r"1\.5: give a share of one GPU, or a whole number"):
        lay_out_workers([{"CPU": 8.0, "GPU": 2.0}], [tiny_run()], gpus=1.5)


def test_every_kind_of_leaf_must_fit_and_the_neediest_sets_how_many_run_at_once():
    wide, narrow = tiny_run(threads=8), tiny_run(batch=4, workers=2, threads=2)
    layout = lay_out_workers([{"CPU": 8.0}], [wide, narrow])
    assert layout.slots == 1
    assert (layout.worker(wide), layout.worker(narrow)) == ({"CPU": 8.0}, {"CPU": 2.0})
    with pytest.raises(Cramped, match="needs 4 workers with 4 CPU each"):
        lay_out_workers([{"CPU": 8.0}], [wide, tiny_run(batch=4, workers=4, threads=4)])
