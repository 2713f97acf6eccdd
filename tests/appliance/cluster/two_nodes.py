"""A Ray cluster of two nodes on this machine, for as long as stdin is open; prints its address.

A process of its own, so that the libraries of the cluster and what they leave behind stay out of the tests' process.
"""

import os
import sys
import tempfile

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_raylet_start_wait_time_s"] = "300"  # noqa: SIM112 -- on a busy machine the default of 30 is too little


def main() -> None:
    """Starts the nodes and waits."""
    from ray.cluster_utils import Cluster

    # Ray puts sockets there, whose paths may not be long.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as temp_dir:
        options = {"num_cpus": 1, "include_dashboard": False, "temp_dir": temp_dir, "node_ip_address": "127.0.0.1"}
        # Ray writes its address there, and does not make the folder where its sessions lie elsewhere.
        os.makedirs("/tmp/ray", exist_ok=True)
        cluster = Cluster(initialize_head=True, head_node_args=options)
        try:
            cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1")
            print(cluster.address, flush=True)
            sys.stdin.read()
        finally:
            cluster.shutdown()


if __name__ == "__main__":
    main()
