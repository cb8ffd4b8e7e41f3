"""Inputs of one swap: the user's request, and the networks that carry it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.analysis.film_analysis import FilmAnalysis
from engine.analysis.people import Person
from engine.faces.analyser import FaceAnalyser
from engine.faces.hands import HandFinder
from engine.media.probe import is_image
from engine.networks.chosen import ChosenNetworks
from engine.options import SwapOptions
from engine.pipeline.prepared_source import PreparedSource, SourceCache, SourceSettings
from engine.pipeline.report import Setup
from engine.pipeline.stages import add_bare_face
from engine.pipeline.video import Threads
from engine.plan.cast import Cast
from engine.trust.content import Classifier
from engine.values import DistanceScale, Portrait
from engine.work.work_store import WorkStore


@dataclass(frozen=True, slots=True)
class Source:
    """Source of one role: a file, or what was prepared of it.

    Attributes:
        first: the file, or the prepared source.
        extra: further files of the same person.
        role: name of the role of a cast; None without a cast.
    """

    first: Path | PreparedSource
    extra: tuple[Path, ...] = ()
    role: str | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files."""
        own = self.first.paths if isinstance(self.first, PreparedSource) else (self.first,)
        return (*own, *self.extra)

    @property
    def is_clip(self) -> bool:
        """True if the first file is a clip."""
        if isinstance(self.first, PreparedSource):
            return self.first.from_clip
        return not is_image(self.first)

    @property
    def fields(self) -> tuple[str, str]:
        """The parameters that name the first file and the others."""
        if self.role is None:
            return "source_image", "extra_source_image"
        return (f"source of {self.role}",) * 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Files and options of one swap.

    Attributes:
        sources: source of each role that has one, by the index of the role; without a cast one.
        cast: roles of the target's people; None where the selection chooses the faces.
        work: keeps finished parts of a video, from which an interrupted run goes on; None keeps
            none.
        fresh: ignore the finished parts that are kept.
        elsewhere: number of frames that other processes of this run have swapped.
        elsewhere_seconds: what that took.
        parameters: public parameters as the user gave them; the report repeats them.
        trace: file to write the record of each frame to.
        review: picture to draw the spans that want a look on.
    """

    sources: Mapping[int, Source]
    target: Path
    output: Path
    options: SwapOptions
    parameters: Mapping[str, Any]
    trace: Path | None = None
    review: Path | None = None
    cast: Cast | None = None
    work: WorkStore | None = None
    fresh: bool = False
    elsewhere: int = 0
    elsewhere_seconds: float = 0.0

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The files that are read."""
        roles = () if self.cast is None else self.cast.role
        return (
            *(path for source in self.sources.values() for path in source.paths),
            self.target,
            *self.options.selection.reference_images,
            *(Path(one) for role in roles for one in role.reference),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """Networks of one swap.

    Attributes:
        chosen: networks that change faces.
        setup: names of all networks and the device, for the report.
        source_analyser: finds the source's face and reads what the swapper needs of it.
        reference_analyser: finds reference faces and reads what names the person.
        frame_analyser: finds faces in the target and reads what their selection needs.
        source_scale: distance scale of the source analyser's embedder.
        source_settings: what the prepared source depends on besides its files.
        sources: prepared sources that are kept.
        scale: distance scale of the embedder of references and target.
        hands: finds hands that may cover faces.
        classifier: content check; None if it is turned off.
        threads: threads of networks and of frames.
        notes: sentences on the networks for the report.
        analysis: faces of the target that were found before; None to find them now.
        people: the people of the analysis, where a cast may name them.
        calibration: what the int8 graphs were calibrated with; empty at another precision.
    """

    chosen: ChosenNetworks
    setup: Setup
    source_analyser: FaceAnalyser
    reference_analyser: FaceAnalyser
    frame_analyser: FaceAnalyser
    source_scale: DistanceScale
    source_settings: SourceSettings
    sources: SourceCache
    scale: DistanceScale
    hands: HandFinder
    classifier: Classifier | None
    threads: Threads
    notes: tuple[str, ...]
    analysis: FilmAnalysis | None = None
    people: tuple[Person, ...] = ()
    calibration: str = ""

    def add_bare_face(self, portrait: Portrait) -> Portrait:
        """Return the portrait with the mask of its bare face.

        Return it unchanged if there is no occluder, or if the swapper uses no pixels of it.
        """
        swapper, occluder = self.chosen.swapper, self.chosen.occluder
        if occluder is None or not swapper.draws_source:
            return portrait
        return add_bare_face(portrait, occluder, swapper.template)
