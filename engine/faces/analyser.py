"""From frames to faces: detection, landmarks, tracks, identities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise

from engine.faces.association import mixed_detection, moved, pair
from engine.faces.contracts import AttributeReader, Detector, Embedder, Landmarker
from engine.faces.identity import Reader, identify
from engine.faces.mesh import locate_in
from engine.faces.regions import agree, around_detection, around_mesh, between
from engine.faces.search import View, find_faces, views_for
from engine.faces.tracker import Sighting, follow, is_cut, steady
from engine.options import AnalysisOptions
from engine.pixels.planes import thumbnail
from engine.values import Analysed, Bytes, Detection, Face, Frame, Mesh

_FACE = 0.5  # mesh score from which a region shows a face
_SURE = 0.8  # detection score that holds against a poor mesh: profiles and dark faces
_HOLD = 2  # frames for which a missed face is interpolated
_LOOK_AHEAD = 10  # frames from which a track's identity is gathered in advance
_STRAY = 0.25  # of the region's side, by which a followed face may leave the expected region
_SIGNATURE = (32, 18)


class FaceAnalyser:
    """Finds faces in pictures, and follows them through videos.

    `embedder` and `attributes` are None where the plan asks for neither; the faces' fields are
    None then, too.
    """

    def __init__(
        self,
        detector: Detector,
        landmarker: Landmarker,
        embedder: Embedder | None,
        attributes: AttributeReader | None,
        options: AnalysisOptions,
    ) -> None:
        self._detector = detector
        self._landmarker = landmarker
        self._reader = Reader(embedder, attributes)
        self._options = options

    def analyse_picture(self, frame: Frame, *, thorough: bool = True) -> tuple[Face, ...]:
        """The faces of one frame by itself, best score first.

        `thorough` looks at several scales: for portraits, still images and reference frames.
        """
        return tuple(self._reader.read(frame, self._look(frame, thorough=thorough)))

    def analyse(self, frames: Iterable[Frame]) -> Iterator[Analysed]:
        """Each frame of a video with its faces, best score first, in the order of the frames.

        Looks ahead by `detect_every` and some fifteen frames more, whatever the video's length.
        """
        sightings = steady(follow(self._sightings(iter(frames)), _HOLD))
        if not self._reader.idle:
            every = self._options.detect_every
            sightings = identify(sightings, self._reader, every, _LOOK_AHEAD)
        for sighting in sightings:
            best_first = sorted(sighting.faces, key=lambda face: -face.score)
            yield Analysed(sighting.frame, tuple(best_first))

    def _sightings(self, frames: Iterator[Frame]) -> Iterator[Sighting]:
        """Detection on every k-th frame, the landmark network on those in between."""
        first = next(frames, None)
        if first is None:
            return
        before = self._sighting(first)
        yield before
        while chunk := list(islice(frames, max(self._options.detect_every, 1))):
            after = self._sighting(chunk[-1])
            yield from self._in_between(before, chunk[:-1], after)
            yield after
            before = after

    def _in_between(
        self, before: Sighting, frames: Sequence[Frame], after: Sighting
    ) -> Iterator[Sighting]:
        signatures = [_signature(frame) for frame in frames]
        pairs = pair([f.box for f in before.faces], [f.box for f in after.faces])
        shot = [before.signature, *signatures, after.signature]
        steady_scene = len(pairs) == len(before.faces) == len(after.faces) and not any(
            is_cut(*two) for two in pairwise(shot)
        )
        ends = [(before.faces[i], after.faces[j]) for i, j in pairs]
        for index, (frame, signature) in enumerate(zip(frames, signatures, strict=True)):
            share = (index + 1) / (len(frames) + 1)
            faces = self._followed(frame, ends, share) if steady_scene else None
            if faces is None:
                yield self._sighting(frame, signature)
            else:
                yield Sighting(frame, faces, signature, thorough=False)

    def _followed(
        self, frame: Frame, ends: Sequence[tuple[Face, Face]], share: float
    ) -> tuple[Face, ...] | None:
        """The faces of a frame between two others, or None where one was lost on the way."""
        regions = [between(around_mesh(a.mesh), around_mesh(b.mesh), share) for a, b in ends]
        meshes = locate_in(frame, regions, self._landmarker)
        for mesh, region, (a, b) in zip(meshes, regions, ends, strict=True):
            if mesh.score < min(_FACE, a.mesh.score, b.mesh.score):
                return None
            if not agree(around_mesh(mesh), region, _STRAY):
                return None
        return tuple(
            Face(mixed_detection(moved(a, mesh), moved(b, mesh), share), mesh)
            for mesh, (a, b) in zip(meshes, ends, strict=True)
        )

    def _sighting(self, frame: Frame, signature: Bytes | None = None) -> Sighting:
        return Sighting(
            frame,
            tuple(self._look(frame, thorough=False)),
            _signature(frame) if signature is None else signature,
            thorough=True,
        )

    def _look(self, frame: Frame, *, thorough: bool) -> list[Face]:
        """Detect, then let the landmark network look twice: the second time at its own region."""
        options = self._options
        views: tuple[View, ...] = views_for(
            frame.size, options.detector_size, thorough=thorough, rotated=options.detect_rotated
        )
        detections = find_faces(frame, self._detector, views)
        rough = locate_in(frame, [around_detection(d) for d in detections], self._landmarker)
        meshes = locate_in(frame, [around_mesh(mesh) for mesh in rough], self._landmarker)
        return [
            Face(detection, mesh)
            for detection, mesh in zip(detections, meshes, strict=True)
            if _is_face(detection, mesh)
        ]


def _is_face(detection: Detection, mesh: Mesh) -> bool:
    return mesh.score >= _FACE or detection.score >= _SURE


def _signature(frame: Frame) -> Bytes:
    return thumbnail(frame, _SIGNATURE)
