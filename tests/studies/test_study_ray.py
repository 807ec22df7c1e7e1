"""A study on a Ray cluster of two nodes, one of which is lost while cells run."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace

import pytest

import limbeck
from limbeck.errors import ConfigError, DataError
from limbeck.studies.cells import Job
from limbeck.studies.cluster import Cluster, see
from limbeck.studies.spec import read_study

SMALL_NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
QUICK = {f"health_check_{name}": n for name, n in (("initial_delay_ms", 0), ("period_ms", 500), ("timeout_ms", 500))}
"""A lost node is noticed in seconds, not in half a minute."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(own_cache):
    """Two nodes of one core each."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray.cluster_utils import Cluster as Nodes

    (own_cache / "marks").mkdir(exist_ok=True)
    nodes = Nodes(
        initialize_head=True,
        head_node_args={
            **SMALL_NODE, "include_dashboard": False, "_system_config": {**QUICK, "health_check_failure_threshold": 3},
        },
    )  # fmt: skip
    nodes.add_node(**SMALL_NODE)
    ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")
    yield nodes
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture
def pair(tiny) -> dict:
    """Two cells that wait until they may go on."""
    tiny["methods"] = [{"name": "dm", "settings": {"encoder": "tests.studies.moody:patient", "augment": ""}}]
    tiny["evaluate"] |= {"channels": 8, "seeds": 0}
    return {**tiny, "baseline": None}


def test_a_lost_node_costs_no_cell(cluster, pair, tmp_path, own_cache):
    """Both nodes work, one is lost, and the other does its cell."""
    marks, found = own_cache / "marks", []
    work = threading.Thread(
        target=lambda: found.append(limbeck.study(pair, tmp_path / "out", executor="ray")), daemon=True
    )
    work.start()
    start = time.monotonic()
    while len(list(marks.iterdir())) < 2:
        assert work.is_alive()
        assert time.monotonic() - start < 120
        time.sleep(0.05)
    cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)
    (marks / "go").touch()
    work.join(120)
    assert [cell["state"] for cell in found[0]["cells"]] == ["done", "done"]
    assert len(found[0]["comparisons"][0]["rows"]) == 2


@pytest.mark.usefixtures("cluster")
def test_a_dead_process_fails_its_cell_alone(tiny, tmp_path):
    """On the node that is left, if one was lost before."""
    deadly = {"name": "dm", "label": "deadly", "settings": {"encoder": "tests.studies.moody:deadly", "augment": ""}}
    told = {**tiny, "methods": ["random", deadly], "per_class": 1}
    told["evaluate"] |= {"channels": 8, "seeds": 0}
    found = limbeck.study(told, tmp_path / "out", executor="ray", workers=1)
    assert [cell["state"] for cell in found["cells"]] == ["done", "failed"]
    assert "died" in found["cells"][1]["error"]["what"]


@pytest.mark.usefixtures("cluster")
def test_more_cores_than_a_machine_has():
    with pytest.raises(ConfigError, match="no machine of the cluster has more than 1"), Cluster(None, None, 2):
        pass


def test_a_machine_must_see_the_folder(tiny, tmp_path):
    study = read_study(tiny)
    cell = next(iter(study.cells()))
    job = Job(tmp_path, study, cell, 1)
    with pytest.raises(DataError, match="does not see this study's folder"):
        see(job)
    (tmp_path / "study.json").write_text(f'{{"hash": "{study.hash}"}}')
    see(job)
    with pytest.raises(DataError):  # another study's folder of the same name
        see(replace(job, study=replace(study, seeds=(1,))))
