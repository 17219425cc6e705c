import pytest

from loray.errors import ClusterError
from loray.machines.room import (
    offered_words,
    places,
    refuse_impossible,
    replicas_wanted,
    scorers_wanted,
    workers_wanted,
)
from loray.spec.run import ResourceSpec


@pytest.mark.parametrize(
    ("nodes", "cpus", "gpus", "held"),
    [
        ([(2, 0)], 1, 0, 2),
        ([(2, 0)], 1, 1, 0),
        ([(3, 0), (3, 0)], 2, 0, 2),  # a worker lies on one node
        ([(8, 1), (1, 4)], 2, 1, 1),
        ([(8, 4), (0, 0)], 1, 1, 4),
        ([], 1, 0, 0),
    ],
)
def test_places_are_counted_node_by_node(nodes, cpus: int, gpus: int, held: int) -> None:
    wanted = workers_wanted(ResourceSpec(cpus_per_worker=cpus, gpus_per_worker=gpus))
    assert places(nodes, wanted) == held


def test_what_is_wanted_is_the_fewest_that_a_run_goes_on_with() -> None:
    elastic = ResourceSpec(workers=4, min_workers=2, eval_actors=3)
    assert workers_wanted(elastic).words == "2 workers, each of 1 CPU and 0 GPUs"
    assert workers_wanted(elastic).field == "resources.min_workers"
    assert workers_wanted(ResourceSpec(workers=4)).count == 4
    assert scorers_wanted(elastic).count == 1
    assert replicas_wanted(elastic, 5).count == 5


@pytest.mark.parametrize(
    ("total", "free", "nodes", "words"),
    [
        ({"CPU": 1.0}, {}, 1, "1 CPU and 0 GPUs on 1 node; free are 0 CPUs and 0 GPUs"),
        (
            {"CPU": 8.0, "GPU": 1.0, "accelerator_type:H100": 1.0, "memory": 3e9},
            {"CPU": 0.5, "GPU": 1.0},
            2,
            "8 CPUs and 1 GPU (H100) on 2 nodes; free are 0.5 CPUs and 1 GPU",
        ),
    ],
)
def test_what_a_cluster_offers_is_a_sentence(total, free, nodes: int, words: str) -> None:
    assert offered_words(total, free, nodes) == f"the cluster has {words}"
    assert scorers_wanted(ResourceSpec(cpus_per_worker=2)).words == "1 scorer of 2 CPUs and 0 GPUs"


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_a_machine_without_a_gpu_refuses_at_once_who_wants_one() -> None:
    refuse_impossible(workers_wanted(ResourceSpec(workers=4)))
    with pytest.raises(ClusterError) as told:
        refuse_impossible(workers_wanted(ResourceSpec(workers=2, gpus_per_worker=1)))
    text = str(told.value)
    assert "wanted 2 workers, each of 1 CPU and 1 GPU;" in text
    assert "the cluster has 4 CPUs and 0 GPUs on 1 node; free are" in text
    assert "resources.gpus_per_worker" in text
    with pytest.raises(ClusterError, match="wanted 5 workers"):
        refuse_impossible(workers_wanted(ResourceSpec(workers=5)))
