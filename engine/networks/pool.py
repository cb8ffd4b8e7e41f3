"""Keep the sessions of networks, one for each network, device and precision."""

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

# The embedded networks that find hands.
HAND_NETWORKS: Final = ("palm_detection", "hand_landmark")

_Providers: TypeAlias = tuple[providers.Provider, ...]


class NetworkPool:
    """Sessions, each made when it is first asked for and kept while its files are the same.

    Another process may import another file under a network's name, or calibrate the network anew.
    """

    def __init__(self, store: WeightStore, threads: int) -> None:
        self.store = store
        self._threads = threads
        # Each with what it was made of: the file's sha256, and the calibration at int8.
        self._sessions: dict[tuple[str, _Providers], tuple[str, Session]] = {}
        self._graphs: dict[
            tuple[str, Precision, _Providers], tuple[tuple[str, Int8Calibration | None], Graph]
        ] = {}
        self._devices: dict[Compute, DeviceNetworks] = {}
        self._lock = threading.RLock()

    def on(self, compute: Compute) -> DeviceNetworks:
        """The networks on a device; what "auto" means is found out once."""
        with self._lock:
            if compute not in self._devices:
                self._devices[compute] = DeviceNetworks(self, compute, providers.choose(compute))
            return self._devices[compute]

    def session(self, name: str, on: DeviceNetworks) -> Session:
        with self._lock:
            key, sha256 = (name, on.single), self.store.weight(name).sha256
            made_of, session = self._sessions.get(key, (None, None))
            if session is None or made_of != sha256:
                session = Session(self.store.path(name), on.single, threads=self._threads)
                self._sessions[key] = sha256, session
            return session

    def graph(self, name: str, precision: Precision, on: DeviceNetworks) -> Graph:
        """A prepared graph; whatever calls share it take turns."""
        with self._lock:
            chosen = on.single if precision == "fp32" else on.providers
            key = (name, precision, chosen)
            known = calibration(self.store, name) if precision == "int8" else None
            sources = self.store.weight(name).sha256, known
            made_of, graph = self._graphs.get(key, (None, None))
            if graph is None or made_of != sources:
                # A CPU has no use for batches, so at fp32 the file is fit for it as it came.
                if precision == "fp32" and chosen[0] == providers.CPU:
                    made = Prepared(self.store.path(name))
                else:
                    made = prepare(self.store, name, precision=precision, providers=chosen)
                session = Session(made.path, chosen, threads=self._threads)
                graph = Graph(Batches(session, (1,) if made.single else None), made.note)
                self._graphs[key] = sources, graph
            return graph

    def sha256(self, names: Iterable[str]) -> dict[str, str]:
        """The sha256 of those of the names that are networks' and not a swapper without any."""
        known = {weight.name: weight.sha256 for weight in self.store.weights()}
        return {name: known[name] for name in names if name in known}

    def clear(self) -> None:
        with self._lock:
            self._sessions.clear()
            self._graphs.clear()


@dataclass(frozen=True, slots=True, eq=False)
class DeviceNetworks:
    """The networks on one device, and what is composed of them."""

    networks: NetworkPool
    compute: Compute
    providers: _Providers

    @property
    def name(self) -> str:
        """The device in use, where the one asked for may be "auto"."""
        return providers.device_of(self.providers[0])

    @property
    def single(self) -> _Providers:
        """The providers of what runs at fp32, whatever is asked of swappers and restorers."""
        return providers.without_fp16(self.providers)

    @property
    def analysis(self) -> AnalysisNetworks:
        """What composes analysers of these networks."""
        return AnalysisNetworks(self.networks.store, self.session)

    @property
    def swapping(self) -> SwapNetworks:
        """What composes swappers, restorers and limiters of these networks."""
        return SwapNetworks(
            self.networks.store,
            self.session,
            graph=lambda name: self.networks.graph(name, self.compute.precision, self),
            exact=lambda name: self.networks.graph(name, Compute().precision, self),
        )

    def session(self, name: str) -> Session:
        return self.networks.session(name, self)

    def arcface(self) -> ArcFace:
        """The embedder of the packs' swappers."""
        spec = self.networks.store.network(EMBEDDER).input
        return ArcFace(self.session(EMBEDDER), spec, EMBEDDER)

    def analyser(
        self, wanted: Iterable[Need], options: AnalysisOptions, embedder: Embedder | None = None
    ) -> FaceAnalyser:
        """What finds faces and reads what is wanted; see `AnalysisNetworks.analyser`."""
        return self.analysis.analyser(wanted, options, embedder)

    def hand_finder(self, options: AnalysisOptions) -> HandFinder:
        palms, landmarks = HAND_NETWORKS
        return HandFinder(
            BlazePalm(self.session(palms)),
            MediaPipeHand(self.session(landmarks)),
            options.detect_every,
        )
