"""Run tasks on the machines of a Ray cluster; needs the extra `ray`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engine.errors import RuntimeUnavailable
from engine.executors.executor import ResultT, TaskT
from engine.runtime.distributions import install

_ATTEMPTS: Final = 3
_SAMPLE: Final = 2**20  # bytes at either end of a file


@dataclass(frozen=True, slots=True)
class RayCluster:
    """Runs tasks on a Ray cluster.

    Nothing is sent but to the cluster: Ray's usage reports are turned off.

    Attributes:
        address: address of the cluster, as "10.0.0.1:6379" or "auto"; None starts one on this
            machine alone.
        cpus: processors that a task takes.
        gpus: cards that a task takes.
    """

    address: str | None = None
    cpus: int = 1
    gpus: float = 0

    @property
    def threads(self) -> int:
        """Number of processors that a task may use."""
        return max(1, self.cpus)

    def check(self, files: Sequence[Path]) -> None:
        """Check that every node reads the same files, as `Executor` says."""
        ray = self._connected()
        strategies = ray.util.scheduling_strategies
        wanted = [(str(path), _sample(path)) for path in files]
        look = ray.remote(num_cpus=0)(_different_file)
        for node in ray.nodes():
            if not node["Alive"]:
                continue
            pinned = strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            different = ray.get(look.options(scheduling_strategy=pinned).remote(wanted))
            if different is not None:
                name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
                raise RuntimeUnavailable(
                    f"The node {name} does not read {different} as this machine does; put it on a "
                    "folder that all nodes share under the same path."
                )

    def map(
        self, function: Callable[[TaskT], ResultT], tasks: Sequence[TaskT]
    ) -> Iterator[tuple[TaskT, ResultT]]:
        """Yield each task with its result, as `Executor` says."""
        ray = self._connected()
        remote = ray.remote(
            num_cpus=self.cpus, num_gpus=self.gpus, max_retries=_ATTEMPTS, retry_exceptions=False
        )(function)
        running = {remote.remote(task): task for task in tasks}
        try:
            while running:
                (done, *_), _ = ray.wait(list(running))
                try:
                    result = ray.get(done)
                except ray.exceptions.RayTaskError as error:
                    raise error.cause from error
                except ray.exceptions.RayError as error:
                    raise RuntimeUnavailable(
                        f"A task of the Ray cluster failed {_ATTEMPTS + 1} times: {error}"
                    ) from error
                yield running.pop(done), result
        finally:
            for reference in running:
                ray.cancel(reference, force=True)

    def _connected(self) -> Any:
        """Return the module `ray`, connected to the cluster.

        Raises:
            RuntimeUnavailable: Ray is not installed, or the cluster cannot be reached.
        """
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            import ray  # noqa: PLC0415 - an extra
            import ray.util.scheduling_strategies  # noqa: PLC0415
        except ImportError as error:
            raise RuntimeUnavailable(
                f"The executor ray needs the package ray; install it with: {install('ray')}"
            ) from error
        if not ray.is_initialized():
            try:
                ray.init(
                    address=self.address or "local",
                    include_dashboard=False if self.address is None else None,
                    configure_logging=False,
                    log_to_driver=False,
                )
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise RuntimeUnavailable(
                    f"The Ray cluster {self.address} cannot be reached: {error}"
                ) from error
        return ray


def _different_file(files: Sequence[tuple[str, str]]) -> str | None:
    """Return the first file that is not there with its sample; None if all are."""
    for name, sample in files:
        try:
            if _sample(Path(name)) == sample:
                continue
        except OSError:
            pass
        return name
    return None


def _sample(path: Path) -> str:
    """Return a digest of a file's size, beginning and end."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_SAMPLE))
        file.seek(max(size - _SAMPLE, 0))
        digest.update(file.read(_SAMPLE))
    return digest.hexdigest()
