"""Find the faces of frames: detection, landmarks, tracks and identities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

import numpy as np

from engine.faces.association import pair_boxes
from engine.faces.identity import IdentityReader, identify
from engine.faces.landmarks import five_points_of_mesh
from engine.faces.mesh import locate_in
from engine.faces.motion import detection_at_mesh, interpolate_detection
from engine.faces.protocols import (
    AttributeReader,
    DenseLandmarker,
    Detector,
    Embedder,
    MeshLandmarker,
)
from engine.faces.regions import (
    Region,
    interpolate_region,
    region_around_detection,
    region_around_known,
    region_around_mesh,
    regions_agree,
)
from engine.faces.search import detector_views, find_faces
from engine.faces.shots import split_shots
from engine.faces.tracker import Sighting, smooth_landmarks, track_faces
from engine.geometry.boxes import box_of
from engine.options import AnalysisOptions
from engine.values import Analysed, Box, Detection, Face, Frame, Mesh

# Version of the algorithm, which is kept with the faces of a film. Raise it whenever the same
# networks and options find other faces, hands, tracks, landmarks or identities than before.
ALGORITHM: Final = 2
# Where the five points lie in the box of an upright face, as fractions of its sides.
_FIVE_IN_BOX: Final = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.78), (0.65, 0.78)])
_MIN_MESH_SCORE = 0.5  # from which a region contains a face
_MIN_SURE_DETECTION = (
    0.84  # detection score that outweighs a poor mesh: keeps profiles, but no backs of heads
)
_MAX_GAP = 2  # frames for which a missed face is interpolated
_LOOK_AHEAD = 10  # frames from which a track's identity is gathered in advance
_REGION_TOLERANCE = (
    0.25  # of a region's side: how far a followed face may be from the expected region
)


class FaceAnalyser:
    """Finds faces in pictures, and follows them through videos.

    Args:
        detector: finds faces.
        landmarker: finds the mesh of a face.
        embedder: tells who a face is; None leaves `Face.embedding` None.
        attributes: reads age, gender and race; None leaves `Face.attributes` None.
        options: options of the analysis.
        dense_landmarker: finds landmarks besides the mesh; None leaves `Face.landmarks` None.
    """

    def __init__(
        self,
        detector: Detector,
        landmarker: MeshLandmarker,
        embedder: Embedder | None,
        attributes: AttributeReader | None,
        options: AnalysisOptions,
        *,
        dense_landmarker: DenseLandmarker | None = None,
    ) -> None:
        self._detector = detector
        self._dense_landmarker = dense_landmarker
        self._landmarker = landmarker
        self._reader = IdentityReader(embedder, attributes)
        self.options = options

    def analyse_picture(self, frame: Frame, *, thorough: bool = True) -> tuple[Face, ...]:
        """Return the faces of a single frame, best score first.

        `thorough` detects at several scales: for portraits, still images and reference frames.
        """
        found = [self._locate_new(frame, one) for one in self._detect(frame, thorough=thorough)]
        faces = self._with_landmarks(frame, [face for face in found if _is_face(face)])
        return tuple(self._reader.read(frame, faces))

    def analyse(self, frames: Iterable[Frame], tracks: int = 0) -> Iterator[Analysed]:
        """Yield each frame of a video with its faces, best score first, in the order of the frames.

        Reads `detect_every` and some fifteen frames ahead, whatever the video's length. The faces
        of a shot depend on no other shot, except for the numbers of their tracks; `tracks` is the
        number of those before the first frame.
        """
        for shot in split_shots(frames):
            known, cut = tracks, True
            for sighting in self._analyse_shot(shot):
                faces = tuple(_continue_numbering(face, known) for face in sighting.faces)
                tracks = max(
                    [tracks, *(1 + face.track for face in faces if face.track is not None)]
                )
                yield Analysed(
                    sighting.frame, tuple(sorted(faces, key=lambda face: -face.score)), cut=cut
                )
                cut = False

    def locate(self, frame: Frame, box: Box) -> Face | None:
        """Return the face in a box of a frame; None if the landmark network finds none there."""
        five = _FIVE_IN_BOX * (box.width, box.height) + (box.left, box.top)
        face = self._locate_new(frame, Detection(box, 1.0, five.astype(np.float32)))
        if face.mesh.score < _MIN_MESH_SCORE:
            return None
        # The user's box may be wide; that of the mesh is like a detector's.
        tight = box_of(face.mesh.points[:, :2])
        detection = Detection(tight, face.mesh.score, five_points_of_mesh(face.mesh))
        return self._read_located(frame, Face(detection, face.mesh))

    def follow(self, frame: Frame, known: Face) -> Face | None:
        """Return a face of the frame before in this frame; None if it is lost."""
        region = region_around_mesh(known.mesh)
        (mesh,) = locate_in(frame, [region], self._landmarker)
        lost = mesh.score < _MIN_MESH_SCORE or not regions_agree(
            region_around_mesh(mesh), region, _REGION_TOLERANCE
        )
        if lost:
            return None
        return self._read_located(frame, Face(detection_at_mesh(known, mesh), mesh))

    def _read_located(self, frame: Frame, face: Face) -> Face:
        (read,) = self._reader.read(frame, self._with_landmarks(frame, [face]))
        return read

    def _analyse_shot(self, frames: Iterator[Frame]) -> Iterator[Sighting]:
        sightings = smooth_landmarks(
            track_faces(self._all_with_landmarks(self._sightings(frames)), _MAX_GAP)
        )
        if self._reader.idle:
            return sightings
        return identify(sightings, self._reader, self.options.detect_every, _LOOK_AHEAD)

    def _all_with_landmarks(self, sightings: Iterator[Sighting]) -> Iterator[Sighting]:
        for sighting in sightings:
            faces = tuple(self._with_landmarks(sighting.frame, sighting.faces))
            yield replace(sighting, faces=faces)

    def _with_landmarks(self, frame: Frame, faces: Sequence[Face]) -> Sequence[Face]:
        return (
            faces
            if self._dense_landmarker is None or not faces
            else self._dense_landmarker.add_landmarks(frame, faces)
        )

    def _sightings(self, frames: Iterator[Frame]) -> Iterator[Sighting]:
        """Detect on every `detect_every`-th frame of a shot, and follow the meshes in between."""
        first = next(frames, None)
        if first is None:
            return
        before = self._detect_sighting(first, ())
        yield before
        while chunk := list(islice(frames, max(self.options.detect_every, 1))):
            after = self._detect_sighting(chunk[-1], before.faces)
            ends = _pair_all(before.faces, after.faces)
            for index, frame in enumerate(chunk[:-1]):
                faces = (
                    None if ends is None else self._follow(frame, ends, (index + 1) / len(chunk))
                )
                if faces is None:
                    before = self._detect_sighting(frame, before.faces)
                else:
                    before = Sighting(frame, faces, detected=False)
                yield before
            yield after
            before = after

    def _follow(
        self, frame: Frame, ends: Sequence[tuple[Face, Face]], share: float
    ) -> tuple[Face, ...] | None:
        """Return the faces of a frame between two others; None if one of them was lost."""
        regions = [interpolate_region(_next_region(a), _next_region(b), share) for a, b in ends]
        meshes = locate_in(frame, regions, self._landmarker)
        for mesh, region, (a, b) in zip(meshes, regions, ends, strict=True):
            trusted = min(a.mesh.score, b.mesh.score) >= _MIN_MESH_SCORE
            if trusted and (
                mesh.score < _MIN_MESH_SCORE
                or not regions_agree(region_around_mesh(mesh), region, _REGION_TOLERANCE)
            ):
                return None
        return tuple(
            Face(_carry_detection(a, b, mesh, share), mesh)
            for mesh, (a, b) in zip(meshes, ends, strict=True)
        )

    def _detect_sighting(self, frame: Frame, known: Sequence[Face]) -> Sighting:
        """Detect in a frame of a video, given the faces of an earlier frame of the same shot.

        A face known from there is located in one step, and may have a lower score.
        """
        detections = self._detect(frame, thorough=False)
        pairs = {new: known[old] for old, new in _pair_faces(known, detections)}
        faces: list[Face] = []
        for index, detection in enumerate(detections):
            earlier = pairs.get(index)
            face = None if earlier is None else self._locate_known(frame, detection, earlier)
            if face is None:
                face = self._locate_new(frame, detection)
            if earlier is not None or _is_face(face):
                faces.append(face)
        return Sighting(frame, tuple(faces), detected=True)

    def _locate_known(self, frame: Frame, detection: Detection, known: Face) -> Face | None:
        """Locate a face near its region in an earlier frame; None if it is not there."""
        if known.mesh.score < _MIN_MESH_SCORE:
            return None
        region = region_around_known(known, detection)
        (mesh,) = locate_in(frame, [region], self._landmarker)
        lost = mesh.score < _MIN_MESH_SCORE or not regions_agree(
            region_around_mesh(mesh), region, _REGION_TOLERANCE
        )
        return None if lost else Face(detection, mesh)

    def _detect(self, frame: Frame, *, thorough: bool) -> list[Detection]:
        options = self.options
        views = detector_views(
            frame.size, options.detector_size, thorough=thorough, rotated=options.detect_rotated
        )
        return find_faces(frame, self._detector, views)

    def _locate_new(self, frame: Frame, detection: Detection) -> Face:
        """Locate a face of which only the detection is known.

        The landmark network runs twice: on the detection's region, then on that of its own mesh.
        """
        (rough,) = locate_in(frame, [region_around_detection(detection)], self._landmarker)
        (mesh,) = locate_in(frame, [region_around_mesh(rough)], self._landmarker)
        return Face(detection, mesh if mesh.score >= rough.score else rough)


def _continue_numbering(face: Face, known: int) -> Face:
    """Return a face with the number of its track counted from `known`."""
    return face if not known or face.track is None else replace(face, track=face.track + known)


def _carry_detection(before: Face, after: Face, mesh: Mesh, share: float) -> Detection:
    """Return the detection of a followed face, from the detections before and after it."""
    if min(before.mesh.score, mesh.score, after.mesh.score) < _MIN_MESH_SCORE:
        return interpolate_detection(before.detection, after.detection, share)
    return interpolate_detection(
        detection_at_mesh(before, mesh), detection_at_mesh(after, mesh), share
    )


def _is_face(face: Face) -> bool:
    return face.mesh.score >= _MIN_MESH_SCORE or face.score >= _MIN_SURE_DETECTION


def _next_region(face: Face) -> Region:
    """Return the region in which to look for a face in the next frames."""
    trusted = face.mesh.score >= _MIN_MESH_SCORE
    return region_around_mesh(face.mesh) if trusted else region_around_detection(face.detection)


def _pair_faces(known: Sequence[Face], found: Sequence[Face | Detection]) -> list[tuple[int, int]]:
    return pair_boxes([face.box for face in known], [face.box for face in found])


def _pair_all(before: Sequence[Face], after: Sequence[Face]) -> list[tuple[Face, Face]] | None:
    """Pair the faces of two frames; None if a face appeared or vanished."""
    pairs = _pair_faces(before, after)
    if not len(pairs) == len(before) == len(after):
        return None
    return [(before[i], after[j]) for i, j in pairs]
