"""Choose the networks that find and analyse faces, and make their objects."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from engine.faces.analyser import FaceAnalyser
from engine.faces.arcface import ArcFace
from engine.faces.attributes import AgeGender
from engine.faces.dense_landmarks import DenseLandmarks
from engine.faces.fairface import AttributeSubset, CombinedReader, FairFace
from engine.faces.genderage import GenderAge
from engine.faces.mesh import FaceMeshNetwork, FallbackMeshNetwork
from engine.faces.protocols import (
    AttributeReader,
    DenseLandmarker,
    Detector,
    Embedder,
    MeshLandmarker,
)
from engine.faces.scrfd import SCRFD
from engine.faces.sface import SFace
from engine.faces.yunet import YuNet
from engine.networks.resolve import resolve
from engine.options import AUTO, AnalysisOptions
from engine.runtime.session import Session
from engine.selection import Need
from engine.values import DistanceScale, LandmarkScheme
from engine.weights.manifest import InputSpec
from engine.weights.weight_store import WeightStore

# The preferred ones first; "auto" takes the first that is installed.
DETECTORS: Final = ("det_10g", "det_34g", "det_2.5g", "yunet", "det_500m")
EMBEDDERS: Final = ("w600k_r50", "glintr100", "w600k_mbf", "sface")
# "auto" takes both meshes, as each is better on other faces. Dense landmarks are found besides the
# mesh, and faces are aligned by them.
MESHES: Final = ("face_mesh_478", "face_mesh")
DENSE: Final[dict[str, LandmarkScheme]] = {"2d106det": "2d106", "1k3d68": "3d68"}

# For each attribute the networks that estimate it, the preferred one first; the last one is always
# installed, or its error says what to import. Ages in years are preferred to FairFace's decades,
# which are not used; its genders are equally reliable for all races.
_READERS: Final[dict[Need, tuple[str, ...]]] = {
    "age": ("genderage", "age"),
    "gender": ("fairface", "genderage", "gender"),
    "race": ("fairface",),
}
_YUNET_SCORE = 0.6
_SCRFD_SCORE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class AnalysisNetworks:
    """Makes analysers from installed networks.

    Attributes:
        store: The weight files.
        session: Returns the session of a network.
    """

    store: WeightStore
    session: Callable[[str], Session]

    @property
    def readable(self) -> frozenset[Need]:
        """The attributes that the installed networks can estimate."""
        has = self.store.has
        return frozenset(need for need, names in _READERS.items() if any(map(has, names)))

    def analyser(
        self, wanted: Iterable[Need], options: AnalysisOptions, embedder: Embedder | None = None
    ) -> FaceAnalyser:
        """Return an analyser with a detector, landmarks, and the networks for what is wanted.

        Args:
            wanted: The attributes to estimate, and "embedding".
            options: The names of the networks.
            embedder: An embedder to use in place of the one in `options`, wanted or not.

        Raises:
            ParameterError: A name in `options` is not allowed.
            WeightsError: A network is missing or corrupt.
        """
        wanted = frozenset(wanted)
        if embedder is None and "embedding" in wanted:
            embedder = self.embedder(options)
        readers = list(self._readers(wanted - {"embedding"}))
        return FaceAnalyser(
            self._detector(options),
            self._landmarker(options),
            embedder,
            CombinedReader(readers) if readers else None,
            options,
            dense_landmarker=self._dense_landmarker(options),
        )

    def names(
        self, wanted: Iterable[Need], options: AnalysisOptions
    ) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield each parameter that chooses networks with the names of those that it chooses.

        Raises as `analyser` does.
        """
        wanted = frozenset(wanted)
        yield "detector", (self._resolve("detector", options.detector, DETECTORS),)
        chosen = () if options.landmarker == AUTO else (options.landmarker,)
        meshes = chosen if options.landmarker in MESHES else MESHES
        yield "landmarker", tuple(dict.fromkeys((*chosen, *meshes)))
        if "embedding" in wanted:
            yield "embedder", (self._embedder_name(options),)
        for need in sorted(wanted - {"embedding"}):
            yield need, (self._reader_name(need),)

    def embedder(self, options: AnalysisOptions) -> Embedder:
        """Return the embedder that the options name; raises as `analyser` does."""
        name = self._embedder_name(options)
        if name == SFace.name:
            return SFace(self.session(name))
        return ArcFace(self.session(name), self._input(name), name)

    def distance_scale(self, options: AnalysisOptions) -> DistanceScale:
        """Return the distance scale of that embedder; raises as `analyser` does."""
        return DistanceScale(self.store.weight(self._embedder_name(options)).calibration)

    def _embedder_name(self, options: AnalysisOptions) -> str:
        return self._resolve("embedder", options.embedder, EMBEDDERS)

    def _detector(self, options: AnalysisOptions) -> Detector:
        name = self._resolve("detector", options.detector, DETECTORS)
        score = options.detector_score
        if name == "yunet":
            return YuNet(self.session(name), score=_YUNET_SCORE if score is None else score)
        return SCRFD(
            self.session(name), self._input(name), score=_SCRFD_SCORE if score is None else score
        )

    def _landmarker(self, options: AnalysisOptions) -> MeshLandmarker:
        if options.landmarker in MESHES:
            return FaceMeshNetwork(self.session(options.landmarker))
        attentive, plain = MESHES
        return FallbackMeshNetwork(
            FaceMeshNetwork(self.session(attentive)), FaceMeshNetwork(self.session(plain))
        )

    def _dense_landmarker(self, options: AnalysisOptions) -> DenseLandmarker | None:
        name = options.landmarker
        if name == AUTO:
            return None
        self._resolve("landmarker", name, (*MESHES, *DENSE))
        if name in MESHES:
            return None
        return DenseLandmarks(self.session(name), self._input(name), DENSE[name])

    def _readers(self, wanted: Collection[Need]) -> Iterator[AttributeReader]:
        """Yield one reader for each network that is preferred for a wanted attribute."""
        by_network: dict[str, list[Need]] = {}
        for need in _READERS:
            if need in wanted:
                by_network.setdefault(self._reader_name(need), []).append(need)
        for name, fields in by_network.items():
            yield AttributeSubset(self._reader(name), fields)

    def _reader(self, name: str) -> AttributeReader:
        session = self.session(name)
        if name == "fairface":
            return FairFace(session, self._input(name))
        if name == "genderage":
            return GenderAge(session, self._input(name))
        return AgeGender(age=session) if name == "age" else AgeGender(gender=session)

    def _reader_name(self, need: Need) -> str:
        names = _READERS[need]
        return next((name for name in names if self.store.has(name)), names[-1])

    def _input(self, name: str) -> InputSpec:
        return self.store.weight(name).input

    def _resolve(self, field: str, asked: str, names: Sequence[str]) -> str:
        # Each list has an embedded network; without it the store's error names the first.
        return resolve(field, asked, names, self.store.has) or names[0]
