"""A Ray cluster makes the output of one machine, also when a node dies midway."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.api import Engine
from engine.errors import RuntimeUnavailable
from engine.executors.ray_cluster import RayCluster
from engine.pipeline.video import Progress
from tests.footage import STRANGER, asset, write_clip
from tests.test_api_resume import FRAMES, LENGTH, QUICK, packets, paint

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")


@pytest.mark.slow
def test_a_node_that_dies_has_its_segments_swapped_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("engine.pipeline.swap", "engine.media.encode", "engine.api"):
        monkeypatch.setattr(f"{module}.segment_length", lambda _: LENGTH)
    film = write_clip(tmp_path / "film.mkv", [40 * n for n in range(FRAMES)], paint=paint)
    faces, whole, output = tmp_path / "faces", tmp_path / "whole.mp4", tmp_path / "out.mp4"
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    died: list[Any] = []

    def kill_a_node(progress: Progress) -> None:
        if progress.stage == "swapping" and progress.done == LENGTH and not died:
            died.append(second)
            cluster.remove_node(second, allow_graceful=False)

    try:
        with Engine(device="cpu") as engine:
            engine.analyse(film, faces)
            given: dict[str, Any] = {"analysis": faces, **QUICK}
            engine.swap(asset(STRANGER), film, whole, work_limit=0, **given)
            engine.swap(
                asset(STRANGER),
                film,
                output,
                executor=RayCluster(cluster.address),
                work_dir=tmp_path / "work",
                observe=kill_a_node,
                **given,
            )
            assert died
            assert packets(output) == packets(whole)
            monkeypatch.setattr("engine.executors.ray_cluster._sample", lambda _: "what is here")
            with pytest.raises(RuntimeUnavailable, match=r"does not read .*nowhere"):
                RayCluster(cluster.address).check([tmp_path / "nowhere"])
    finally:
        ray.shutdown()
        cluster.shutdown()
