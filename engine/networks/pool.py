"""Keep one session for each network, device and precision."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from engine.faces.analyser import FaceAnalyser
from engine.faces.arcface import ArcFace
from engine.faces.hands import HandFinder, MediaPipeHand
from engine.faces.palms import BlazePalm
from engine.faces.protocols import Embedder
from engine.networks.analysis import AnalysisNetworks
from engine.networks.swapping import Graph, SwapNetworks
from engine.optimise.int8 import Int8Calibration
from engine.optimise.prepare import Prepared, calibration, prepare
from engine.options import AnalysisOptions, Compute, Precision
from engine.runtime import providers
from engine.runtime.batches import Batches
from engine.runtime.session import Session
from engine.selection import Need
from engine.swappers.neural.source_encoding import EMBEDDER
from engine.weights.weight_store import WeightStore

# The embedded networks that find hands: palms, and the landmarks of a hand.
HAND_NETWORKS: Final = ("palm_detection", "hand_landmark")

_Providers: TypeAlias = tuple[providers.Provider, ...]


class NetworkPool:
    """Sessions and prepared graphs, opened when they are first used and kept.

    They are opened again if their files change: another process may import another file under a
    network's name, or calibrate the network. Threads may share a pool.

    Args:
        store: The weight files.
        threads: Threads of one network on the CPU.
    """

    def __init__(self, store: WeightStore, threads: int) -> None:
        self.store = store
        self._threads = threads
        # Each value begins with what it was made from: the file's sha256, and at int8 the record.
        self._sessions: dict[tuple[str, _Providers], tuple[str, Session]] = {}
        self._graphs: dict[
            tuple[str, Precision, _Providers], tuple[tuple[str, Int8Calibration | None], Graph]
        ] = {}
        self._devices: dict[Compute, DeviceNetworks] = {}
        self._lock = threading.RLock()

    def on(self, compute: Compute) -> DeviceNetworks:
        """Return the networks on a device; the device "auto" is resolved once."""
        with self._lock:
            if compute not in self._devices:
                self._devices[compute] = DeviceNetworks(self, compute, providers.choose(compute))
            return self._devices[compute]

    def session(self, name: str, on: DeviceNetworks) -> Session:
        """Return the session of a network at fp32."""
        with self._lock:
            key, sha256 = (name, on.fp32_providers), self.store.weight(name).sha256
            made_of, session = self._sessions.get(key, (None, None))
            if session is None or made_of != sha256:
                session = Session(self.store.path(name), on.fp32_providers, threads=self._threads)
                self._sessions[key] = sha256, session
            return session

    def graph(self, name: str, precision: Precision, on: DeviceNetworks) -> Graph:
        """Return the prepared graph of a network; calls that share it run one at a time."""
        with self._lock:
            chosen = on.fp32_providers if precision == "fp32" else on.providers
            key = (name, precision, chosen)
            record = calibration(self.store, name) if precision == "int8" else None
            sources = self.store.weight(name).sha256, record
            made_of, graph = self._graphs.get(key, (None, None))
            if graph is None or made_of != sources:
                # A CPU gains nothing from batches, so at fp32 it runs the file as it is.
                if precision == "fp32" and chosen[0] == providers.CPU:
                    prepared = Prepared(self.store.path(name))
                else:
                    prepared = prepare(self.store, name, precision=precision, providers=chosen)
                session = Session(prepared.path, chosen, threads=self._threads)
                graph = Graph(Batches(session, (1,) if prepared.single else None), prepared.note)
                self._graphs[key] = sources, graph
            return graph

    def sha256(self, names: Iterable[str]) -> dict[str, str]:
        """Return the sha256 of each name that is a network's; a swapper may have no network."""
        known = {weight.name: weight.sha256 for weight in self.store.weights()}
        return {name: known[name] for name in names if name in known}

    def clear(self) -> None:
        """Close all sessions; they are opened again when they are used."""
        with self._lock:
            self._sessions.clear()
            self._graphs.clear()


@dataclass(frozen=True, slots=True, eq=False)
class DeviceNetworks:
    """The networks on one device, and the analysers and swappers made from them."""

    networks: NetworkPool
    compute: Compute
    providers: _Providers

    @property
    def name(self) -> str:
        """The device in use: "cpu", "cuda:1", "tensorrt", but not "auto"."""
        return providers.device_of(self.providers[0])

    @property
    def fp32_providers(self) -> _Providers:
        """The providers of networks that run at fp32, whatever precision was asked for."""
        return providers.without_fp16(self.providers)

    @property
    def analysis(self) -> AnalysisNetworks:
        """The networks that find and analyse faces."""
        return AnalysisNetworks(self.networks.store, self.session)

    @property
    def swapping(self) -> SwapNetworks:
        """The networks that swap, restore and limit."""
        return SwapNetworks(
            self.networks.store,
            self.session,
            graph=lambda name: self.networks.graph(name, self.compute.precision, self),
            fp32_graph=lambda name: self.networks.graph(name, Compute().precision, self),
        )

    def session(self, name: str) -> Session:
        """Return the session of a network at fp32."""
        return self.networks.session(name, self)

    def arcface(self) -> ArcFace:
        """Return the embedder that imported swappers need."""
        spec = self.networks.store.network(EMBEDDER).input
        return ArcFace(self.session(EMBEDDER), spec, EMBEDDER)

    def analyser(
        self, wanted: Iterable[Need], options: AnalysisOptions, embedder: Embedder | None = None
    ) -> FaceAnalyser:
        """Return an analyser; see `AnalysisNetworks.analyser`."""
        return self.analysis.analyser(wanted, options, embedder)

    def hand_finder(self, options: AnalysisOptions) -> HandFinder:
        """Return the finder of hands."""
        palms, landmarks = HAND_NETWORKS
        return HandFinder(
            BlazePalm(self.session(palms)),
            MediaPipeHand(self.session(landmarks)),
            options.detect_every,
        )
