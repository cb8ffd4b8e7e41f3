"""The composition root: parameters become sessions here, and sessions what works on faces."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

from engine.analysers import Analysers
from engine.drawers import Drawers, Drawing, Graph
from engine.errors import ParameterError
from engine.faces.analyser import FaceAnalyser
from engine.faces.arcface import ArcFace
from engine.faces.contracts import Embedder
from engine.faces.hands import HandFinder, MediaPipeHand
from engine.faces.palms import BlazePalm
from engine.media.decode import read_frame, read_image
from engine.media.probe import is_image
from engine.options import AUTO, AnalysisOptions, Compute, Device, Precision
from engine.parameters import SwapParameters, parse
from engine.pipeline.calibration import Calibrated, calibrate_network
from engine.pipeline.job import Observe, Request, Tools, run_swap
from engine.pipeline.report import SwapReport
from engine.pipeline.run import Progress, Threads
from engine.pipeline.source_pictures import embedding_of, largest_face
from engine.runtime import providers
from engine.runtime.batches import Batches
from engine.runtime.quantise import Calibration
from engine.runtime.session import Session, cores
from engine.runtime.surgery import Prepared, calibration, prepared
from engine.runtime.weights import WeightStore
from engine.selection import Need, filtered, frame_needs, nearest, needs, ordered
from engine.swappers.contract import Swapper
from engine.swappers.sources import EMBEDDER
from engine.values import Calibration as Scale  # of an embedder's distances, not of int8
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

    Raises:
        ParameterError: `swapper` is neither a name nor a swapper, or `threads` no whole number
            from 1.

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
        if not isinstance(swapper, str | Swapper):
            raise ParameterError(
                f"swapper is {swapper!r}; allowed: {AUTO!r}, the name of a swapper, or an object "
                "that satisfies engine.swappers.contract.Swapper."
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
        """Puts the largest clear face of a picture, or of a clip, onto faces of a video or picture.

        Of a clip as source, pictures that are spread over it are looked at, and the best views of
        one person are taken.

        `parameters` are those of `SwapParameters`. `observe` is called in this thread at the
        beginning of each stage, at each picture of a clip that is looked at as source, and after
        each frame of a video; what it raises ends the run. No error leaves a file behind.

        Raises:
            ParameterError: A parameter is unknown, of the wrong type or out of range.
            MediaError: A file cannot be read or written, or the output exists.
            NoFaceFound: The source or the reference shows no face.
            SourceUnfit: The source hides a part of its face that the swapper needs, or a clip shows
                several people and nobody most of the time.
            WeightsError: A network that the request needs is missing or corrupt.
            RuntimeUnavailable: The device cannot be used.
            ContentBlocked: The content check refused the source or the target.
        """
        parsed, own = self._parse(parameters)
        options = parsed.options()
        for picture in options.selection.reference_images:
            _path("reference_image", picture)
        for picture in options.extra_sources:
            _path("extra_source_image", picture)
        request = Request(
            source=_path("source_image", source_image),
            target=_path("target", target),
            output=_path("output", output),
            options=options,
            parameters=parsed.model_dump(mode="json"),
        )
        if observe is not None:
            observe(Progress(0, None, "loading networks"))
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

    def calibrate(
        self,
        name: str,
        pictures: Location | Sequence[Location],
        *,
        observe: Observe | None = None,
    ) -> Calibrated:
        """Makes the int8 graph of a swapper or restorer, by the faces of pictures and videos.

        `pictures` is a file or a folder of them, or several; `observe` is called in this thread
        after each face that went through the network. The networks that were loaded are dropped.

        Raises:
            ParameterError: The network is of another role, or no file is named.
            MediaError: A file cannot be read.
            NoFaceFound: Too few faces were found.
            WeightsError: The network is missing or corrupt, or strays too far from fp32.
            RuntimeUnavailable: The package onnx is not installed.
        """
        several = [pictures] if isinstance(pictures, str | os.PathLike) else pictures
        if not isinstance(several, Iterable):
            raise ParameterError(f"pictures is {pictures!r}; allowed: a path or a list of paths.")
        paths = [_path("pictures", picture) for picture in several]
        if not paths:
            raise ParameterError("pictures is empty; allowed: at least one file or folder.")
        networks = self._networks.on(Compute("cpu"))
        feed = networks.drawers.feed(name)
        arcface = networks.arcface() if feed.needs_embedding else None
        analyser = networks.analyser((), AnalysisOptions(), arcface)
        try:
            return calibrate_network(feed, paths, self._networks.store, analyser, observe)
        finally:
            self._networks.clear()

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
        compute, options = parsed.compute(), request.options
        networks = self._networks.on(compute)
        rule, analysis = options.selection, options.analysis
        drawing = networks.drawers.drawing(
            parsed.swapper if own is None else own,
            options,
            from_clip=not is_image(request.source),
        )
        _require_network(compute, drawing)
        arcface = drawing.needs_embedding or drawing.needs_target_embedding
        embedder = networks.arcface() if arcface else None
        if drawing.needs_target_embedding:
            _require_arcface(analysis)
        wanted = needs(rule) | frame_needs(rule)
        if drawing.compares_portraits:
            wanted |= {"embedding"}
        readers = dict(networks.analysers.names(wanted, analysis))
        if arcface:
            asked = readers.get("embedder", ())
            readers["embedder"] = tuple(dict.fromkeys((*asked, EMBEDDER)))
        return Tools(
            swapper=drawing.swapper,
            choice=drawing.choice,
            occluder=drawing.occluder,
            limiters=drawing.limiters,
            enhancer=drawing.enhancer,
            networks=drawing.networks,
            readers=readers,
            weights=self._networks.sha256(
                (
                    *chain.from_iterable(readers.values()),
                    *drawing.networks.values(),
                    *networks.drawers.needed(drawing.choice.name),
                )
            ),
            sides=drawing.sides,
            at_once=drawing.at_once,
            notes=(
                *_left_out(self._networks.store),
                *drawing.notes,
                *_of_no_use(compute, networks.name),
            ),
            device=networks.name,
            portraits=networks.analyser(
                ("embedding",) if drawing.compares_portraits else (),
                analysis,
                embedder if drawing.needs_embedding else None,
            ),
            references=networks.analyser(needs(rule), analysis),
            frames=networks.analyser(
                frame_needs(rule), analysis, embedder if drawing.needs_target_embedding else None
            ),
            calibration=networks.analysers.calibration(analysis),
            portrait_calibration=(
                Scale() if drawing.needs_embedding else networks.analysers.calibration(analysis)
            ),
            hands=networks.hand_finder(analysis),
            classifier=networks.session("open_nsfw") if options.content_check else None,
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
    """Sessions, each made when it is first asked for and kept while its files are the same.

    Another process may import another file under a network's name, or calibrate the network anew.
    """

    def __init__(self, store: WeightStore, threads: int) -> None:
        self.store = store
        self._threads = threads
        # Each with what it was made of: the file's sha256, and the calibration at int8.
        self._sessions: dict[tuple[str, _Providers], tuple[str, Session]] = {}
        self._graphs: dict[
            tuple[str, Precision, _Providers], tuple[tuple[str, Calibration | None], Graph]
        ] = {}
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
            key, sha256 = (name, on.single), self.store.weight(name).sha256
            made_of, session = self._sessions.get(key, (None, None))
            if session is None or made_of != sha256:
                session = Session(self.store.path(name), on.single, threads=self._threads)
                self._sessions[key] = sha256, session
            return session

    def graph(self, name: str, precision: Precision, on: _DeviceNetworks) -> Graph:
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
                    made = prepared(self.store, name, precision=precision, providers=chosen)
                session = Session(made.path, chosen, threads=self._threads)
                graph = Graph(Batches(session, (1,) if made.alone else None), made.note)
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
    def single(self) -> _Providers:
        """The providers of what runs at fp32, whatever is asked of swappers and restorers."""
        return providers.single(self.providers)

    @property
    def analysers(self) -> Analysers:
        """What composes analysers of these networks."""
        return Analysers(self.networks.store, self.session)

    @property
    def drawers(self) -> Drawers:
        """What composes swappers, restorers and limiters of these networks."""
        return Drawers(
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
        """What finds faces and reads what is wanted; see `Analysers.analyser`."""
        return self.analysers.analyser(wanted, options, embedder)

    def hand_finder(self, options: AnalysisOptions) -> HandFinder:
        return HandFinder(
            BlazePalm(self.session("palm_detection")),
            MediaPipeHand(self.session("hand_landmark")),
            options.detect_every,
        )


def _require_network(compute: Compute, drawing: Drawing) -> None:
    """Refuses a precision where there is no network to run at it.

    Raises:
        ParameterError: It is not the precision that all else runs at.
    """
    if compute.precision != Compute().precision and not drawing.takes_precision:
        raise ParameterError(
            f"precision is {compute.precision!r}, but the swapper {drawing.choice.name} has no "
            f"network to run at it; allowed: {Compute().precision}, or any with a swapper or an "
            "enhance that is a network."
        )


def _of_no_use(compute: Compute, device: Device) -> Iterator[str]:
    if compute.precision == "fp16" and device == "cpu":
        yield "precision fp16 is no faster here: the CPU computes in fp32."
    if compute.vram is not None and device == "cpu":
        yield f"vram has no effect: the device {compute.device} is the CPU here."


def _left_out(store: WeightStore) -> Iterator[str]:
    trouble = store.trouble()
    if trouble:
        yield f"no imported network is used: {trouble}"


def _require_arcface(options: AnalysisOptions) -> None:
    """Refuses another embedder where the targets' identities are weighed.

    Raises:
        ParameterError: It was named.
    """
    if options.embedder not in (AUTO, EMBEDDER):
        raise ParameterError(
            f"source_weight blends identities as {EMBEDDER} sees them, and embedder is "
            f"{options.embedder!r}; allowed with it: {AUTO}, {EMBEDDER}."
        )


def _path(field: str, location: Location) -> Path:
    """A location as a path.

    Raises:
        ParameterError: It is no path, or a URI: nothing here reaches a network.
    """
    text = os.fspath(location) if isinstance(location, str | os.PathLike) else None
    if not isinstance(text, str):
        raise ParameterError(
            f"{field} is {location!r:.80}; allowed: the path of a file, as a str or a Path."
        )
    if _URI.match(text):
        raise ParameterError(
            f"{field} is {text[:80]!r}, and this engine reads and writes files only, with no "
            "network; allowed: the path of a file."
        )
    return Path(location)
