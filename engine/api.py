"""The composition root: parameters become sessions here, and sessions what works on faces."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

from engine.analysis.film_analysis import AnalysisKey, FilmAnalysis
from engine.analysis.people import Person, find_people
from engine.closeable import Closeable
from engine.errors import ParameterError
from engine.media.decode import read_frame, read_image
from engine.media.probe import is_image
from engine.networks.analysis import EMBEDDERS
from engine.networks.chosen import ChosenNetworks
from engine.networks.pool import HAND_NETWORKS, NetworkPool
from engine.options import AUTO, AnalysisOptions, Compute, Device
from engine.parameters import SwapParameters, parse
from engine.pipeline.analyse import analyse_film, make_key, open_analysis
from engine.pipeline.int8_calibration import Calibrated, calibrate_network
from engine.pipeline.report import Setup, SwapReport
from engine.pipeline.sources import largest_face
from engine.pipeline.swap import run_swap
from engine.pipeline.tools import Request, Tools
from engine.pipeline.video import Observe, Progress, Threads
from engine.runtime.session import cores
from engine.selection import (
    Need,
    filter_faces,
    frame_needs,
    nearest_distance,
    needs,
    require_embedding,
    sort_faces,
)
from engine.swappers.neural.source_encoding import EMBEDDER
from engine.swappers.swapper import Swapper
from engine.values import DistanceScale, Face, Frame
from engine.weights.weight_store import WeightStore

Location: TypeAlias = str | os.PathLike[str]

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


class Engine(Closeable):
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
                "that satisfies engine.swappers.swapper.Swapper."
            )
        self._device: Device = device
        self._swapper = swapper
        self._threads = Threads.of(threads or cores())
        self._networks = NetworkPool(weights or WeightStore(), self._threads.network)

    def close(self) -> None:
        """Drops the networks; a later call loads them again."""
        self._networks.clear()

    def swap(
        self,
        source_image: Location,
        target: Location,
        output: Location,
        *,
        analysis: Location | None = None,
        observe: Observe | None = None,
        **parameters: Any,
    ) -> SwapReport:
        """Puts the largest clear face of a picture, or of a clip, onto faces of a video or picture.

        Of a clip as source, pictures that are spread over it are looked at, and the best views of
        one person are taken.

        `analysis` is a file that `analyse` made of the target: its faces are not found again.
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
        tools = self._tools(request, parsed, own)
        if analysis is not None:
            known = self._known_analysis(_path("analysis", analysis), request)
            tools = replace(tools, analysis=known)
        return run_swap(request, tools, observe)

    def analyse(
        self,
        target: Location,
        output: Location,
        *,
        overwrite: bool = False,
        observe: Observe | None = None,
        **parameters: Any,
    ) -> FilmAnalysis:
        """Find all faces of a film once, and keep them in a file for any number of swaps.

        Args:
            target: The film.
            output: The file to write. It holds embeddings, which are biometric data; only its
                owner may read it.
            overwrite: Replace a file that is there.
            observe: Called in this thread after each frame; what it raises ends the run.
            **parameters: Those of `SwapParameters` that say how faces are found: `device`,
                `detector`, `embedder`, `landmarker`, `detect_rotated`, `detect_every`.

        Returns:
            The analysis, with the tracks of the film. Age, gender and, where fairface is imported,
            race are read, so that it serves a swap with any filter.

        Raises:
            ParameterError: A parameter is unknown, of the wrong type or out of range.
            MediaError: A file cannot be read or written, or the target is a picture.
            WeightsError: A network is missing or corrupt.
            RuntimeUnavailable: The device cannot be used.
        """
        parsed, _ = self._parse(parameters)
        options = parsed.options().analysis
        networks = self._networks.on(parsed.compute())
        film = _path("target", target)
        reads: set[Need] = {"embedding", *networks.analysis.readable}
        return analyse_film(
            film,
            _path("output", output),
            lambda: self._analysis_key(film, reads, options),
            networks.analyser(reads, options),
            networks.hand_finder(options),
            overwrite=overwrite,
            observe=observe,
        )

    def open_analysis(
        self, target: Location, analysis: Location, **parameters: Any
    ) -> FilmAnalysis:
        """Return the analysis that `analyse` made of a film; the parameters are those of `analyse`.

        Raises:
            ParameterError: It is of another film, or was made by other networks or parameters.
            MediaError: A file cannot be read.
        """
        parsed, _ = self._parse(parameters)
        key = self._analysis_key(_path("target", target), {"embedding"}, parsed.options().analysis)
        return open_analysis(_path("analysis", analysis), key)

    def people(self, analysis: FilmAnalysis) -> tuple[Person, ...]:
        """Return the people of an analysed film, those in most frames first.

        Tracks are gathered by their embeddings. Two faces of one frame are never one person, and
        where it is unsure two groups are kept.
        """
        embedder = next((name for name in EMBEDDERS if name in analysis.key.networks), None)
        if embedder is None:
            raise ParameterError("The analysis holds no embeddings; analyse the film again.")
        options = AnalysisOptions(embedder=embedder)
        scale = self._networks.on(Compute("cpu")).analysis.distance_scale(options)
        return find_people(analysis, scale)

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
            require_embedding(largest_face(read_image(path), knower, "references", path)[0])
            for path in pictures
        ]
        wanted = needs(rule) - {"embedding"} | with_embedding | networks.analysis.readable
        found = networks.analyser(wanted, analysis).analyse_picture(shown)
        kept = filter_faces(sort_faces(found, rule.order), rule)
        scale = networks.analysis.distance_scale(analysis)
        distances = tuple(nearest_distance(face, known, scale) if known else None for face in kept)
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
        feed = networks.swapping.feed(name)
        arcface = networks.arcface() if feed.needs_embedding else None
        analyser = networks.analyser((), AnalysisOptions(), arcface)
        try:
            return calibrate_network(feed, paths, self._networks.store, analyser, observe)
        finally:
            self._networks.clear()

    def _known_analysis(self, path: Path, request: Request) -> FilmAnalysis:
        """Return the analysis in a file, if it holds what the request needs."""
        options, reads = request.options.analysis, set(frame_needs(request.options.selection))
        if request.options.source_weight != 1:  # the targets' identities are weighed, too
            options = replace(options, embedder=EMBEDDER)
            reads.add("embedding")
        return open_analysis(path, self._analysis_key(request.target, reads, options))

    def _analysis_key(
        self, target: Path, reads: Collection[Need], options: AnalysisOptions
    ) -> AnalysisKey:
        """Return what an analysis that serves these needs depends on."""
        networks = self._networks.on(Compute("cpu")).analysis
        names = (names for _, names in networks.names(reads, options))
        sha256 = self._networks.sha256((*chain.from_iterable(names), *HAND_NETWORKS))
        return make_key(target, options, sha256, reads)

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
        chosen = networks.swapping.chosen(
            parsed.swapper if own is None else own,
            options,
            from_clip=not is_image(request.source),
        )
        _require_network(compute, chosen)
        if chosen.needs_target_embedding:
            _require_arcface(analysis)
        arcface = chosen.needs_embedding or chosen.needs_target_embedding
        embedder = networks.arcface() if arcface else None
        wanted = needs(rule) | frame_needs(rule)
        if chosen.compares_portraits:
            wanted |= {"embedding"}
        readers = dict(networks.analysis.names(wanted, analysis))
        if arcface:
            asked = readers.get("embedder", ())
            readers["embedder"] = tuple(dict.fromkeys((*asked, EMBEDDER)))
        used = (
            *chain.from_iterable(readers.values()),
            *chosen.names.values(),
            *networks.swapping.needed(chosen.choice.name),
        )
        scale = networks.analysis.distance_scale(analysis)
        return Tools(
            chosen=chosen,
            setup=Setup(
                swapper=chosen.choice,
                networks=chosen.names,
                readers=readers,
                weights=self._networks.sha256(used),
                device=networks.name,
            ),
            source_analyser=networks.analyser(
                ("embedding",) if chosen.compares_portraits else (),
                analysis,
                embedder if chosen.needs_embedding else None,
            ),
            reference_analyser=networks.analyser(needs(rule), analysis),
            frame_analyser=networks.analyser(
                frame_needs(rule), analysis, embedder if chosen.needs_target_embedding else None
            ),
            source_scale=DistanceScale() if chosen.needs_embedding else scale,
            scale=scale,
            hands=networks.hand_finder(analysis),
            classifier=networks.session("open_nsfw") if options.content_check else None,
            threads=self._threads,
            notes=(
                *_left_out(self._networks.store),
                *chosen.notes,
                *_of_no_use(compute, networks.name),
            ),
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


def _require_network(compute: Compute, chosen: ChosenNetworks) -> None:
    """Refuses a precision where there is no network to run at it.

    Raises:
        ParameterError: It is not the precision that all else runs at.
    """
    if compute.precision != Compute().precision and not chosen.takes_precision:
        raise ParameterError(
            f"precision is {compute.precision!r}, but the swapper {chosen.choice.name} has no "
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
