"""Executors by the names that the command takes."""

from __future__ import annotations

from engine.errors import ParameterError
from engine.executors.executor import Executor
from engine.executors.processes import Processes
from engine.executors.ray_cluster import RayCluster


def executor_named(name: str, address: str | None = None, *, gpus: float = 0) -> Executor:
    """Return the executor "processes:N" or "ray", on the cluster at an address.

    `gpus` is the number of cards that a task takes on a cluster.

    Raises:
        ParameterError: There is no such executor, or it takes no address.
    """
    kind, _, count = name.partition(":")
    if kind == "ray" and not count:
        return RayCluster(address, gpus=gpus)
    if kind == "processes" and count.isdecimal() and int(count):
        if address is not None:
            raise ParameterError(f"address is {address}, and only the executor ray takes one.")
        return Processes(int(count))
    raise ParameterError(f"executor is {name!r}; allowed: processes:N, with N from 1, or ray.")
