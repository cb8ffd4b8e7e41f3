"""Inputs of one swap: the user's request, and the networks that carry it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.analysis.film_analysis import FilmAnalysis
from engine.faces.analyser import FaceAnalyser
from engine.faces.hands import HandFinder
from engine.networks.chosen import ChosenNetworks
from engine.options import SwapOptions
from engine.pipeline.prepared_source import PreparedSource, SourceCache, SourceSettings
from engine.pipeline.report import Setup
from engine.pipeline.stages import add_bare_face
from engine.pipeline.video import Threads
from engine.trust.content import Classifier
from engine.values import DistanceScale, Portrait


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Files and options of one swap.

    `parameters` are the public parameters as the user gave them; the report repeats them. `trace`
    is a file to write the record of each frame to.
    """

    source: Path | PreparedSource
    target: Path
    output: Path
    options: SwapOptions
    parameters: Mapping[str, Any]
    trace: Path | None = None

    @property
    def source_paths(self) -> tuple[Path, ...]:
        """The files of the source."""
        own = self.source.paths if isinstance(self.source, PreparedSource) else (self.source,)
        return (*own, *self.options.extra_sources)


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
        source_is_clip: True if the source is a clip.
        sources: prepared sources that are kept.
        scale: distance scale of the embedder of references and target.
        hands: finds hands that may cover faces.
        classifier: content check; None if it is turned off.
        threads: threads of networks and of frames.
        notes: sentences on the networks for the report.
        analysis: faces of the target that were found before; None to find them now.
    """

    chosen: ChosenNetworks
    setup: Setup
    source_analyser: FaceAnalyser
    reference_analyser: FaceAnalyser
    frame_analyser: FaceAnalyser
    source_scale: DistanceScale
    source_settings: SourceSettings
    source_is_clip: bool
    sources: SourceCache
    scale: DistanceScale
    hands: HandFinder
    classifier: Classifier | None
    threads: Threads
    notes: tuple[str, ...]
    analysis: FilmAnalysis | None = None

    def add_bare_face(self, portrait: Portrait) -> Portrait:
        """Return the portrait with the mask of its bare face.

        Return it unchanged if there is no occluder, or if the swapper uses no pixels of it.
        """
        swapper, occluder = self.chosen.swapper, self.chosen.occluder
        if occluder is None or not swapper.draws_source:
            return portrait
        return add_bare_face(portrait, occluder, swapper.template)
