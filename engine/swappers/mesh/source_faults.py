"""Find the faults of a portrait as the source of a swap.

The limits were set by eye on 267 pictures of synthetic people: beyond them, swaps that draw the
portrait's own pixels were smears.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.geometry import affine
from engine.geometry.boxes import box_of
from engine.geometry.mesh_topology import (
    LEFT_ORBIT,
    MOUTH_CORNERS,
    MOUTH_GAP,
    RIGHT_ORBIT,
    openness,
)
from engine.geometry.shape import face_angle
from engine.pixels.align import warp_crop
from engine.pixels.raster import convex_hull, fill_polygons
from engine.pixels.tone import Field, blur, blur_along, luma, shrink
from engine.swappers.mesh.layout import COARSE, layout, unwrap
from engine.swappers.mesh.light import FLOOR, skin_light
from engine.swappers.mesh.masks import eye_openings
from engine.swappers.mesh.texture import LIGHT_SIGMA, occlusion_mask
from engine.values import Mask, Portrait

_TURNED = (35.0, 48.0)  # degrees: from a warning to a face half hidden
_COVERED = (0.2, 0.5)  # share of the skin that something covers
_EYES_COVERED = 0.72  # the same around the eyes: frames cover up to 0.6 there, dark lenses 0.83
_CUT = (0.01, 0.25)  # share of the mesh outside the picture
_SMALL = 128  # pixels of the face's width
_UNCLEAR = (0.5, 0.2)  # score of the mesh: from a warning to no face
_COVERED_EYES = -1.0  # mean log luma around the eyes, relative to skin in its light
_ONE_SIDED = 0.75  # mean log luma by which the halves of a face differ
# Luma of a third of the skin, and of its brightest parts: dark skin in good light has highlights.
_DARK, _UNLIT = 0.12, 0.35
_IN_THE_DARK = 0.33
_COLOURED = (1.1, 1.5)  # log units of colour: the mean's and its spread over the skin
_WIDE_OPEN = 0.5  # the mouth's height over its width
_CLOSED = 0.12  # an eye's
_BLURRED = 0.62  # sharpness at `_SMALL`
# Sharpness at this width in the blurriest direction, below which brows, nose and lips are smears.
# Of 10 faces it is 0.94 or more, at a sigma of 1/40 of their width 0.65 to 0.79, of 1/24 0.53 to
# 0.63, and moved by 1/6 of it mostly 0.53 to 0.63. Noise changes it little.
_COARSE_WIDTH, _SMEARED = 32, 0.64
_DIRECTIONS = (0.0, 45.0)  # degrees; each crop has its two axes


@dataclass(frozen=True, slots=True)
class Fault:
    """Fault of a portrait.

    Attributes:
        words: end of a sentence that begins with the picture's name.
        remedy: advice, in the imperative.
        hides: True if so little of the face is visible that a swapper which draws the portrait's
            own pixels would draw a smear.
    """

    words: str
    remedy: str
    hides: bool = False


def portrait_faults(portrait: Portrait) -> tuple[Fault, ...]:
    """Return the faults of a portrait, those that hide the face first; empty if there are none."""
    found = (
        *_by_shape(portrait),
        *_by_cover(portrait),
        *_by_light(portrait),
        *_by_sharpness(portrait),
    )
    return tuple(sorted(found, key=lambda fault: not fault.hides))


def _by_shape(portrait: Portrait) -> Iterator[Fault]:
    face, (height, width) = portrait.face, portrait.pixels.shape[:2]
    points = face.mesh.points
    away = face_angle(face)
    if away > _TURNED[0]:
        yield Fault(
            f"shows a face turned {away:.0f} degrees away from the camera",
            "choose a picture that looks at the camera",
            hides=away > _TURNED[1],
        )
    if face.mesh.score < _UNCLEAR[0]:
        yield Fault(
            "shows a face whose eyes, nose and mouth are hard to make out",
            "choose a picture that shows them clearly",
            hides=face.mesh.score < _UNCLEAR[1],
        )
    outside = (points[:, :2] < 0) | (points[:, :2] > (width - 1, height - 1))
    cut = float(outside.any(axis=1).mean())
    if cut > _CUT[0]:
        yield Fault(
            f"has {cut:.0%} of the face outside its border",
            "choose a picture that shows all of it",
            hides=cut > _CUT[1],
        )
    if face.box.width < _SMALL:
        yield Fault(
            f"shows a face only {face.box.width:.0f} pixels wide",
            f"choose a picture with a face of {_SMALL} pixels or more",
        )
    if openness(points, MOUTH_GAP, MOUTH_CORNERS) > _WIDE_OPEN:
        yield Fault("shows a mouth wide open", "choose a picture with a calm face")
    if max(eye_openings(points)) < _CLOSED:
        yield Fault("shows closed eyes", "choose a picture with open eyes")


def _by_cover(portrait: Portrait) -> Iterator[Fault]:
    if portrait.bare is None:
        return
    points = portrait.face.mesh.points
    _, seen = unwrap(portrait.pixels, points, COARSE)
    # A part outside the picture is not covered; `_by_shape` reports it.
    cover = shrink(occlusion_mask(portrait.bare, points), COARSE)
    if _mean(cover, np.maximum(*_orbits()) * seen) > _EYES_COVERED:
        yield Fault("has its eyes covered", "choose a picture that shows the eyes", hides=True)
    hidden = _mean(cover, layout(COARSE).skin * seen)
    if hidden > _COVERED[0]:
        yield Fault(
            f"shows a face with something before {hidden:.0%} of its skin",
            "choose a picture with nothing before the face",
            hides=hidden > _COVERED[1],
        )


def _by_light(portrait: Portrait) -> Iterator[Fault]:
    plan = layout(COARSE)
    own, seen = unwrap(portrait.pixels, portrait.face.mesh.points, COARSE)
    skin = plan.skin * seen
    if not skin.any():
        return
    logs = np.log(own + FLOOR)
    light, _ = skin_light(logs, plan.basis, skin * plan.beardless, LIGHT_SIGMA)
    level = luma(light)
    rest = luma(logs) - level
    shown = [orbit * seen for orbit in _orbits() if (orbit * seen).sum() > 0.5 * orbit.sum()]
    if shown and max(_mean(rest, orbit) for orbit in shown) < _COVERED_EYES:
        yield Fault(
            "shows eyes behind dark glasses or in the dark",
            "choose a picture that shows the eyes",
            hides=True,
        )
    both = np.minimum(skin, skin[:, ::-1])
    if _mean(np.abs(level - level[:, ::-1]), both) > _ONE_SIDED:
        yield Fault("shows a face lit from one side", "choose a picture in even light")
    tones = luma(own)[skin > 0.5]
    if tones.size and (tones < _DARK).mean() > _IN_THE_DARK and np.percentile(tones, 95) < _UNLIT:
        yield Fault("shows a face in the dark", "choose a brighter picture")
    coloured = _colour(logs, skin)
    if coloured > _COLOURED[0]:
        yield Fault(
            "shows a face in coloured light",
            "choose a picture in white light",
            hides=coloured > _COLOURED[1],
        )


def _colour(logs: Field, skin: Mask) -> float:
    """Return the norm of the skin's mean colour plus its standard deviation, in log units."""
    colour = logs - luma(logs)[..., None]
    mean = np.array([_mean(colour[..., channel], skin) for channel in range(3)])
    variance = _mean(((colour - mean) ** 2).sum(axis=-1, dtype=np.float32), skin)
    return float(np.linalg.norm(mean) + np.sqrt(variance))


def sharpness(portrait: Portrait) -> float:
    """Return the contrast of detail of a `_SMALL`th of the face over that of twice the size."""
    box = box_of(portrait.face.mesh.points[:, :2])
    to_crop = affine.compose(affine.shift(-box.left, -box.top), affine.rescale(_SMALL / box.width))
    tones = luma(warp_crop(portrait.pixels, to_crop, _SMALL))
    return _detail_ratio(tones, blur(tones, 1.0), blur(tones, 2.0))


def _least_sharpness(portrait: Portrait) -> float:
    """Return the same at `_COARSE_WIDTH` and along one axis, the least of four directions.

    Motion blurs a picture in one direction only.
    """
    box = box_of(portrait.face.mesh.points[:, :2])
    centre = ((box.left + box.right) / 2, (box.top + box.bottom) / 2)
    middle = (_COARSE_WIDTH - 1) / 2
    scale = affine.rescale(_COARSE_WIDTH / box.width)
    ratios = []
    for degrees in _DIRECTIONS:
        scaled = affine.compose(affine.rotate(degrees, *centre), scale)
        x, y = affine.apply(scaled, np.array([centre]))[0]
        to_crop = affine.compose(scaled, affine.shift(middle - x, middle - y))
        tones = luma(warp_crop(portrait.pixels, to_crop, _COARSE_WIDTH))
        ratios += [
            _detail_ratio(tones, blur_along(tones, 1.0, axis), blur_along(tones, 2.0, axis))
            for axis in (0, 1)
        ]
    return min(ratios)


def _detail_ratio(tones: Mask, coarse: Mask, coarser: Mask) -> float:
    """Return the contrast of the finest detail over that of the next coarser one."""
    usual = max(float(np.abs(coarse - coarser).std()), 1e-6)
    return float(np.abs(tones - coarse).std()) / usual


def _by_sharpness(portrait: Portrait) -> Iterator[Fault]:
    if _least_sharpness(portrait) < _SMEARED:
        yield Fault(
            "shows a face blurred beyond recognition", "choose a sharper picture", hides=True
        )
    # A small face is reported as such by `_by_shape`.
    elif (
        box_of(portrait.face.mesh.points[:, :2]).width >= _SMALL and sharpness(portrait) < _BLURRED
    ):
        yield Fault("shows a blurred face", "choose a sharper picture")


def _orbits() -> tuple[Mask, Mask]:
    points = layout(COARSE).points
    left, right = (
        fill_polygons([convex_hull(points[list(ring)])], COARSE)
        for ring in (LEFT_ORBIT, RIGHT_ORBIT)
    )
    return left, right


def _mean(values: Mask, weights: Mask) -> float:
    return float((values * weights).sum() / max(float(weights.sum()), 1e-6))
