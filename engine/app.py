"""The composition root: here alone parameters become concrete networks and swappers."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

from engine.analysers import AUTO, Analysers
from engine.errors import ParameterError, WeightsMissing
from engine.faces.analyser import FaceAnalyser
from engine.faces.arcface import ArcFace
from engine.faces.contracts import Embedder
from engine.faces.hands import HandFinder, MediaPipeHand
from engine.faces.identity import alignment_points
from engine.faces.palms import BlazePalm
from engine.media.decode import read_frame, read_image
from engine.options import AnalysisOptions, Compute, Device
from engine.parameters import SwapParameters, parse
from engine.pipeline.job import Observe, Request, Tools, embedding_of, largest_face, run_swap
from engine.pipeline.report import Choice, SwapReport
from engine.pipeline.run import Threads
from engine.runtime import providers
from engine.runtime.batches import Batches
from engine.runtime.manifest import Network
from engine.runtime.session import Session, cores
from engine.runtime.surgery import emap, prepared
from engine.runtime.weights import WeightStore
from engine.selection import Need, filtered, frame_needs, nearest, needs, ordered
from engine.swappers.contract import Swapper
from engine.swappers.mesh_warp import MeshWarp
from engine.swappers.neural import NeuralSwapper
from engine.swappers.polyphase import can_do
from engine.swappers.sources import EMBEDDER, Converted, Cut, Encoder, Latent, embedding
from engine.values import Face, Frame

Location: TypeAlias = str | os.PathLike[str]
_Providers: TypeAlias = tuple[providers.Provider, ...]

# One slash will do, as a path has lost the second; a scheme of one letter is a drive.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/|data:")


@dataclass(frozen=True, slots=True, eq=False)
class FoundFaces:
    """The faces of one frame, ordered and filtered as `reference_face_position` counts them.

    `distances` holds each face's distance (1 - cosine) to the nearest reference, or None for each
    where no reference was given.
    """

    frame: Frame
    faces: tuple[Face, ...]
    distances: tuple[float | None, ...]


class Engine:
    """Swaps faces, and keeps the networks loaded from one call to the next.

    Args:
        device: where the networks run ("auto", "cpu", "cuda", "cuda:1", "tensorrt"), unless a call
            says otherwise.
        swapper: the name of a swapper, "auto", or a swapper of the caller's own; the same.
        weights: where the networks' files are; None takes the embedded and the imported ones.
        threads: how many cores to use; None takes all that this process may.

    A context manager; `close` drops the networks. Several threads may share it.
    """

    def __init__(
        self,
        *,
        device: Device = "auto",
        swapper: str | Swapper[Any] = AUTO,
        weights: WeightStore | None = None,
        threads: int | None = None,
    ) -> None:
        whole = isinstance(threads, int) and not isinstance(threads, bool)
        if threads is not None and not (whole and threads >= 1):
            raise ParameterError(
                f"threads is {threads!r}; allowed: a whole number from 1, or None."
            )
        self._device: Device = device
        self._swapper = swapper
        self._threads = Threads.of(threads or cores())
        self._networks = _Networks(weights or WeightStore(), self._threads.network)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drops the networks; a later call loads them again."""
        self._networks.clear()

    def swap(
        self,
        source_image: Location,
        target: Location,
        output: Location,
        *,
        observe: Observe | None = None,
        **parameters: Any,
    ) -> SwapReport:
        """Puts the largest face of a picture onto faces of a video or picture.

        `parameters` are those of `SwapParameters`. `observe` is called in this thread after each
        frame of a video; what it raises ends the run. No error leaves a file behind.

        Raises:
            ParameterError: A parameter is unknown, of the wrong type or out of range.
            MediaError: A file cannot be read or written, or the output exists.
            NoFaceFound: The source or the reference shows no face.
            WeightsError: A network that the request needs is missing or corrupt.
            RuntimeUnavailable: The device cannot be used.
            ContentBlocked: The content check refused the source or the target.
        """
        parsed, own = self._parse(parameters)
        options = parsed.options()
        for picture in options.selection.reference_images:
            _path("reference_image", picture)
        request = Request(
            source=_path("source_image", source_image),
            target=_path("target", target),
            output=_path("output", output),
            options=options,
            parameters=parsed.model_dump(mode="json"),
        )
        return run_swap(request, self._tools(request, parsed, own), observe)

    def faces(
        self,
        target: Location,
        frame: int = 1,
        references: Sequence[Location] = (),
        **parameters: Any,
    ) -> FoundFaces:
        """The faces of one frame, with age, gender and, where fairface is imported, race.

        Order, filters, `detect_rotated` and `device` are taken from `parameters`, so that a face's
        index is what `reference_face_position` takes. Distances are those to the largest face of
        each of the pictures `references`. Raises as `swap` does.
        """
        if frame < 0:
            raise ParameterError(f"frame is {frame}; allowed: a whole number from 0.")
        parsed, _ = self._parse({**parameters, "reference_frame_number": frame})
        rule, analysis = parsed.options().selection, parsed.options().analysis
        pictures = [_path("references", picture) for picture in references]
        shown = read_frame(_path("target", target), rule.reference_frame)
        networks = self._networks.on(parsed.compute())
        with_embedding: set[Need] = {"embedding"} if pictures else set()
        knower = networks.analyser(with_embedding, analysis)
        known = [
            embedding_of(largest_face(read_image(path), knower, "references", path)[0])
            for path in pictures
        ]
        wanted = needs(rule) - {"embedding"} | with_embedding | networks.analysers.readable
        found = networks.analyser(wanted, analysis).analyse_picture(shown)
        kept = filtered(ordered(found, rule.order), rule)
        scale = networks.analysers.calibration(analysis)
        distances = tuple(nearest(face, known, scale) if known else None for face in kept)
        return FoundFaces(shown, kept, distances)

    def _parse(self, parameters: dict[str, Any]) -> tuple[SwapParameters, Swapper[Any] | None]:
        """The call's parameters over the engine's own, and the caller's own swapper if in use."""
        if isinstance(self._swapper, str):
            own = {"device": self._device, "swapper": self._swapper}
            return parse({**own, **parameters}), None
        if "swapper" in parameters:
            return parse({"device": self._device, **parameters}), None
        own = {"device": self._device, "swapper": self._swapper.name}
        return parse({**own, **parameters}), self._swapper

    def _tools(self, request: Request, parsed: SwapParameters, own: Swapper[Any] | None) -> Tools:
        """The networks that a request needs, and no others; `own` is the caller's swapper."""
        networks = self._networks.on(parsed.compute())
        rule, analysis = request.options.selection, request.options.analysis
        if own is None:
            choice = networks.choice(parsed.swapper, request.options.pixel_boost)
            swapper = networks.swapper(choice.name)
        else:
            choice, swapper = Choice(own.name, "the caller brought it"), own
        embedder = None
        if isinstance(swapper, NeuralSwapper):
            swapper.require_size(request.options.pixel_boost)
            embedder = networks.arcface() if swapper.needs_embedding else None
        else:
            _require_network(parsed.compute(), choice.name)
        return Tools(
            swapper=swapper,
            choice=choice,
            device=networks.name,
            portraits=networks.analyser((), analysis, embedder),
            references=networks.analyser(needs(rule), analysis),
            frames=networks.analyser(frame_needs(rule), analysis),
            calibration=networks.analysers.calibration(analysis),
            hands=networks.hand_finder(analysis),
            classifier=networks.session("open_nsfw") if request.options.content_check else None,
            threads=self._threads,
        )


def swap(
    source_image: Location,
    target: Location,
    output: Location,
    *,
    observe: Observe | None = None,
    **parameters: Any,
) -> SwapReport:
    """One swap by an engine of its own; see `Engine.swap`."""
    with Engine() as engine:
        return engine.swap(source_image, target, output, observe=observe, **parameters)


class _Networks:
    """Sessions, each made when it is first asked for and kept."""

    def __init__(self, store: WeightStore, threads: int) -> None:
        self.store = store
        self._threads = threads
        self._sessions: dict[tuple[str, _Providers], Session] = {}
        self._swappers: dict[tuple[str, Compute], NeuralSwapper] = {}
        self._devices: dict[Compute, _DeviceNetworks] = {}
        self._lock = threading.RLock()

    def on(self, compute: Compute) -> _DeviceNetworks:
        """The networks on a device; what "auto" means is found out once."""
        with self._lock:
            if compute not in self._devices:
                self._devices[compute] = _DeviceNetworks(self, compute, providers.choose(compute))
            return self._devices[compute]

    def session(self, name: str, on: _DeviceNetworks) -> Session:
        with self._lock:
            key = (name, on.providers)
            if key not in self._sessions:
                path = self.store.path(name)
                self._sessions[key] = Session(path, on.providers, threads=self._threads)
            return self._sessions[key]

    def swapper(self, network: Network, on: _DeviceNetworks) -> NeuralSwapper:
        """Only the session on the prepared graph is new; whatever calls share it takes turns."""
        with self._lock:
            key = (network.name, on.compute)
            if key not in self._swappers:
                graph = prepared(
                    self.store,
                    network.name,
                    precision=on.compute.precision,
                    providers=on.providers,
                )
                session = Session(graph.path, on.providers, threads=self._threads)
                self._swappers[key] = NeuralSwapper(network, Batches(session), on.encoder(network))
            return self._swappers[key]

    def clear(self) -> None:
        with self._lock:
            self._sessions.clear()
            self._swappers.clear()


@dataclass(frozen=True, slots=True, eq=False)
class _DeviceNetworks:
    """The networks on one device, and what is composed of them."""

    networks: _Networks
    compute: Compute
    providers: _Providers

    @property
    def name(self) -> str:
        """The device in use, where the one asked for may be "auto"."""
        return providers.device_of(self.providers[0])

    @property
    def analysers(self) -> Analysers:
        """What composes analysers of these networks."""
        return Analysers(self.networks.store, self.session)

    def session(self, name: str) -> Session:
        return self.networks.session(name, self)

    def choice(self, asked: str, pixel_boost: int) -> Choice:
        """The swapper that is meant by a name, or by "auto", and why it is this one.

        Raises:
            ParameterError: There is none of this name.
        """
        known = self._installable_swappers()
        if asked != AUTO:
            names = (MeshWarp.name, *(network.name for network in known))
            if asked not in names:
                allowed = ", ".join((AUTO, *names))
                raise ParameterError(f"swapper is {asked!r}; allowed: {allowed}.")
            return Choice(asked, "it was asked for")
        store = self.networks.store
        able = [network for network in known if can_do(pixel_boost, network.input.size)]
        for network in able:
            if not store.missing(network.name):
                why = f"of those installed it comes first that swaps at {pixel_boost}x{pixel_boost}"
                return Choice(network.name, why)
        for network in able:
            missing = store.missing(network.name)
            if network.name not in missing:
                why = f"{network.name} is installed, but {' and '.join(missing)} it needs is not"
                return Choice(MeshWarp.name, why)
        return Choice(MeshWarp.name, "the embedded swapper is the only one there is")

    def swapper(self, name: str) -> Swapper[Any]:
        """The swapper of a known name.

        Raises:
            WeightsError: A network that it needs is missing or corrupt.
            RuntimeUnavailable: A network cannot be prepared or run.
        """
        if name == MeshWarp.name:
            return MeshWarp()
        missing = self.networks.store.missing(name)
        if missing:
            raise WeightsMissing(
                f"The swapper {name} needs {', '.join(missing)}, which is not installed; bring it "
                "in with `faceswap-engine weights import PATH`."
            )
        return self.networks.swapper(self.networks.store.network(name), self)

    def encoder(self, network: Network) -> Encoder:
        """What makes the sources of a swapping network."""
        store, source = self.networks.store, network.source
        if source is None or source.kind == "embedding":
            return embedding
        if source.kind == "latent":
            return Latent(emap(store, network.name))
        if source.input is not None:
            return Cut(source.input, alignment_points)
        crop = Cut(store.network(EMBEDDER).input, alignment_points)
        converter = self.session(source.converter)
        return Converted(self.session(EMBEDDER), crop, converter, source.unit)

    def arcface(self) -> ArcFace:
        """The embedder of the packs' swappers."""
        spec = self.networks.store.network(EMBEDDER).input
        return ArcFace(self.session(EMBEDDER), spec, EMBEDDER)

    def analyser(
        self, wanted: Iterable[Need], options: AnalysisOptions, embedder: Embedder | None = None
    ) -> FaceAnalyser:
        """What finds faces and reads what is wanted; see `Analysers.analyser`."""
        return self.analysers.analyser(wanted, options, embedder)

    def hand_finder(self, options: AnalysisOptions) -> HandFinder:
        return HandFinder(
            BlazePalm(self.session("palm_detection")),
            MediaPipeHand(self.session("hand_landmark")),
            options.detect_every,
        )

    def _installable_swappers(self) -> list[Network]:
        """The best first."""
        return [one for one in self.networks.store.installable() if one.role == "swapper"]


def _require_network(compute: Compute, swapper: str) -> None:
    """Refuses a precision where there is no network to run at it.

    Raises:
        ParameterError: It is not the precision that all else runs at.
    """
    if compute.precision != Compute().precision:
        raise ParameterError(
            f"precision is {compute.precision!r}, but the swapper {swapper} has no network to run "
            f"at it; allowed: {Compute().precision}, or the name of a swapper with a network."
        )


def _path(field: str, location: Location) -> Path:
    """A location as a path.

    Raises:
        ParameterError: It is a URI: nothing here reaches a network.
    """
    text = os.fspath(location)
    if _URI.match(text):
        raise ParameterError(
            f"{field} is {text[:80]!r}, and this engine reads and writes files only, with no "
            "network; allowed: the path of a file."
        )
    return Path(location)
