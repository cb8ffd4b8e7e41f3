"""Spectacles and sunglasses, drawn on the head in three dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from occluder_canvas import (
    Floats,
    Rng,
    Scene,
    blurred,
    filled,
    flat,
    noise,
    stroked,
)
from occluder_patterns import patch

_STEPS = 48  # points of a lens's outline
_PUPILS = 3.2  # centimetres from the middle of the face
_EYES = 2.6  # their height in the head's space

_BLACK = (0.05, 0.05, 0.06)
_FRAMES = (
    _BLACK,
    _BLACK,
    (0.12, 0.1, 0.1),
    (0.25, 0.13, 0.07),
    (0.4, 0.22, 0.1),
    (0.5, 0.5, 0.52),
    (0.72, 0.72, 0.74),
    (0.75, 0.6, 0.3),
    (0.7, 0.45, 0.38),
    (0.12, 0.18, 0.4),
    (0.5, 0.08, 0.1),
    (0.1, 0.3, 0.2),
    (0.85, 0.85, 0.85),
)
_TINTS = (
    _BLACK,
    _BLACK,
    (0.02, 0.02, 0.02),
    (0.18, 0.1, 0.05),
    (0.1, 0.14, 0.09),
    (0.08, 0.1, 0.2),
    (0.35, 0.2, 0.05),
    (0.3, 0.08, 0.15),
)


@dataclass(frozen=True)
class _Frame:
    """The shape of a pair, in centimetres: lenses of half sides `width` and `height`."""

    outlines: tuple[Floats, Floats]  # of the picture's left and right lens, (n, 3), from the top
    hinges: tuple[Floats, Floats]
    inner: tuple[Floats, Floats]
    rim: float  # width of the rim
    kind: str


def _superellipse(rng: Rng, width: float, height: float, style: str) -> Floats:
    """Return an outline around (0, 0), its outer side at positive x, y up; it starts at the top."""
    turn = np.pi / 2 - np.linspace(0, 2 * np.pi, _STEPS, endpoint=False)
    c, s = np.cos(turn), np.sin(turn)
    upper, lower = {
        "round": (2.0, 2.0),
        "oval": (2.3, 2.3),
        "rectangle": (rng.uniform(3.5, 7), rng.uniform(3, 6)),
        "aviator": (3.2, 2.0),
        "panto": (2.8, 2.1),
        "cat": (3.0, 2.4),
    }[style]
    power = 2 / np.where(s > 0, upper, lower)
    x = width * np.sign(c) * np.abs(c) ** power
    y = height * np.sign(s) * np.abs(s) ** power
    below = np.clip(-y / height, 0, 1)
    if style == "aviator":
        x = x * (1 - 0.22 * below) + 0.25 * width * below
        y = y * np.where(y < 0, 1.25, 0.9)
    elif style == "cat":
        y = y + rng.uniform(0.15, 0.5) * height * np.clip(x / width, 0, 1) ** 2
    else:
        x = x * (1 - rng.uniform(-0.03, 0.14) * below)
    return np.column_stack((x, y)).astype(np.float32)


def _frame(rng: Rng, *, sun: bool) -> _Frame:
    style = str(
        rng.choice(
            ["round", "oval", "rectangle", "aviator", "panto", "cat"],
            p=[0.17, 0.1, 0.3, 0.13, 0.18, 0.12],
        )
    )
    width = rng.uniform(2.15, 2.9) + (rng.uniform(0, 0.6) if sun else 0)
    height = width * (
        rng.uniform(0.5, 0.85) if style in ("rectangle", "oval", "cat") else rng.uniform(0.78, 1.0)
    )
    height += rng.uniform(0, 0.4) if sun else 0
    gap = rng.uniform(0.75, 1.15)  # half the width of the bridge
    middle = max(_PUPILS + rng.uniform(-0.25, 0.25), width + gap)
    down = rng.uniform(0.0, 0.9) + (rng.uniform(0.7, 2.5) if rng.random() < 0.12 else 0)
    wrap, tilt = rng.uniform(0.015, 0.055), rng.uniform(-0.02, 0.2)
    bridge = 6.1 + 0.32 * down
    base = _superellipse(rng, width, height, style)
    lean = np.deg2rad(rng.normal(0, 2))

    def placed(points: Floats, side: int) -> Floats:
        x = side * (middle + points[:, 0])
        y = _EYES - down + points[:, 1]
        x, y = x * np.cos(lean) - y * np.sin(lean), x * np.sin(lean) + y * np.cos(lean)
        z = bridge - wrap * x**2 + tilt * points[:, 1]
        return np.column_stack((x, y, z)).astype(np.float32)

    high = rng.uniform(0.1, 0.75) * height
    hinge = np.array([[width * 1.02, high]], np.float32)
    inner = np.array([[-width * 0.97, rng.uniform(0.05, 0.6) * height]], np.float32)
    rim = float(rng.choice([0.07, 0.1, 0.14, 0.2, 0.3, 0.42, 0.55, 0.7]) * rng.uniform(0.85, 1.15))
    kind = str(rng.choice(["full", "half", "rimless"], p=[0.8, 0.12, 0.08]))
    if kind == "rimless":
        rim = float(rng.uniform(0.06, 0.12))
    return _Frame(
        (placed(base, -1), placed(base, 1)),
        (placed(hinge, -1)[0], placed(hinge, 1)[0]),
        (placed(inner, -1)[0], placed(inner, 1)[0]),
        rim,
        kind,
    )


def _temple(frame: _Frame, side: int, sag: float, back: float) -> Floats:
    """Return the arm from a hinge to the ear."""
    start = frame.hinges[(side + 1) // 2]
    share = np.linspace(0, 1, 8)[:, None]
    ear = np.array((side * 7.9, 2.3 + sag, back))
    knee = np.array((side * max(abs(float(start[0])) + 0.25, 6.6), start[1], start[2] - 0.6))
    first = start + (knee - start) * np.minimum(share * 5, 1)
    return np.asarray(first + (ear - knee) * np.maximum((share - 0.2) / 0.8, 0), np.float32)


def _solid(scene: Scene, frame: _Frame) -> Floats:
    """Coverage of all that is no lens."""
    rng, pixels = scene.rng, scene.scale
    rims = [scene.at(outline) for outline in frame.outlines]
    wide = frame.rim * pixels
    alpha = np.zeros_like(scene.seen)
    if frame.kind == "full":
        alpha = stroked(rims, wide, closed=True)
        if rng.random() < 0.5:  # a browline: heavier above
            heavy = [np.roll(rim, 10, axis=0)[:22] for rim in rims]
            alpha = np.maximum(alpha, stroked(heavy, wide * rng.uniform(1.2, 2.2)))
    elif frame.kind == "half":
        alpha = stroked([np.roll(rim, 13, axis=0)[:28] for rim in rims], wide)
        edge = stroked(rims, 0.07 * pixels, closed=True) * np.float32(rng.uniform(0.2, 0.6))
        alpha = np.maximum(alpha, edge)
    else:
        alpha = stroked(rims, 0.08 * pixels, closed=True) * np.float32(rng.uniform(0.15, 0.6))
    left, right = frame.inner
    share = np.linspace(0, 1, 9)[:, None]
    arch = np.array((0, 1, 0)) * (rng.uniform(0.1, 0.6) * 4 * share * (1 - share))
    lift = np.array((0, 0, 1)) * (0.5 * share * (1 - share))
    bars = [scene.at(left + (right - left) * share + arch + lift)]
    if rng.random() < 0.2:  # a second bar, as aviators have
        up = np.array((0, rng.uniform(0.5, 1.0), 0))
        bars.append(scene.at((left + up) * 1.0 + (right - left) * share + lift))
    alpha = np.maximum(alpha, stroked(bars, max(wide, 0.12 * pixels)))
    if frame.rim < 0.25 and rng.random() < 0.6:  # nose pads
        pads = []
        for point in frame.inner:
            toward = np.sign(point[0])
            low = point + np.array((0, -0.7, -0.6))
            pads += [
                scene.at(np.stack((point, low))),
                scene.at(np.stack((low, low + np.array((-0.15 * toward, -0.5, 0))))),
            ]
        alpha = np.maximum(alpha, stroked(pads, 0.12 * pixels))
    arm = max(frame.rim * rng.uniform(0.7, 1.7), 0.1) * pixels
    sag, back = rng.uniform(-0.2, 0.7), rng.uniform(-2.8, 1.0)
    for side in (-1, 1):
        if scene.faces_camera((side, 0, 0)) > -0.12:
            alpha = np.maximum(alpha, stroked([scene.at(_temple(frame, side, sag, back))], arm))
    return alpha


def _colours(scene: Scene) -> Floats:
    """Return the frame's colours: one, tortoise, or fading downwards."""
    rng = scene.rng
    base = scene.lit(_FRAMES[rng.integers(len(_FRAMES))])
    if rng.random() < 0.15:
        base = scene.lit(rng.random(3))
    colours = flat(base) * (0.7 + 0.6 * noise(rng, 6))[..., None]
    kind = rng.random()
    if kind < 0.15:  # tortoise
        light = scene.lit((0.62, 0.38, 0.14))
        spots = np.clip((noise(rng, 24, 2) - 0.45) * 5, 0, 1)[..., None]
        colours = flat(scene.lit((0.15, 0.07, 0.04))) * (1 - spots) + flat(light) * spots
    elif kind < 0.25:
        other = scene.lit(rng.random(3))
        share = np.linspace(0, 1, len(colours), dtype=np.float32)[:, None, None]
        colours = colours * (1 - share) + other * share
    return np.asarray(colours, np.float32)


def _reflection(scene: Scene, frame: _Frame) -> Floats:
    """Return the mask of reflections of a window, a lamp or the sky on lenses, 0..1."""
    rng = scene.rng
    kind = rng.random()
    total = np.zeros_like(scene.seen)
    offset, size = rng.uniform(-1.4, 1.4, 2), rng.uniform(0.4, 1.8, 2)
    shear = rng.uniform(-0.8, 0.8)
    for outline in frame.outlines:
        if rng.random() < 0.15:
            continue
        centre = outline.mean(0)
        if kind < 0.45:  # a window, with or without a cross
            corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * size
            corners[:, 0] += shear * corners[:, 1]
            shape = np.column_stack((corners + offset, np.zeros(4))) + centre
            mask = filled(scene.at(shape))
            if rng.random() < 0.5:
                cross = [shape[[0, 1]].mean(0), shape[[2, 3]].mean(0)]
                mask *= 1 - stroked([scene.at(np.stack(cross))], 0.2 * scene.scale)
        elif kind < 0.8:  # streaks
            lines = []
            for _ in range(rng.integers(1, 4)):
                x = rng.uniform(-2, 2)
                lines.append(centre + np.array([(x - shear, -3, 0), (x + shear + 1, 3, 0)]))
            mask = stroked([scene.at(line) for line in lines], rng.uniform(0.2, 1.4) * scene.scale)
        else:  # the sky, in the upper part
            mask = np.clip((noise(rng, 5) - rng.uniform(0.3, 0.6)) * 4, 0, 1)
        total = np.maximum(total, mask)
    return blurred(total, rng.uniform(0, 1.2))


def spectacles(scene: Scene, *, sun: bool) -> None:
    """Put on a pair, with clear or with dark lenses."""
    rng = scene.rng
    frame = _frame(rng, sun=sun)
    solid = _solid(scene, frame)
    lenses = filled(*[scene.at(outline) for outline in frame.outlines])
    if rng.random() < 0.75:
        caster = np.maximum(solid, lenses * np.float32(0.8 if sun else rng.uniform(0, 0.15)))
        scene.cast(caster, rng.uniform(0.1, 0.5), rng.uniform(0.5, 5), rng.uniform(0.6, 2.5))
    if sun:
        alpha = lenses * np.float32(rng.uniform(0.72, 1.0))
        if rng.random() < 0.35:  # darker above
            top = float(scene.at(frame.outlines[0])[:, 1].min())
            run = (np.arange(len(alpha), dtype=np.float32) - top) / (5 * scene.scale)
            alpha = alpha * (1 - rng.uniform(0.2, 0.7) * np.clip(run, 0, 1))[:, None]
        colours = flat(
            scene.lit(_TINTS[rng.integers(len(_TINTS))] if rng.random() < 0.8 else rng.random(3))
        )
        if rng.random() < 0.5:  # what they mirror
            share = rng.uniform(0.1, 0.8)
            colours = colours * (1 - share) + patch(scene) * share
        scene.cover(alpha, colours * (0.7 + 0.6 * noise(rng, 3))[..., None])
    elif rng.random() < 0.35:
        tint = lenses * np.float32(rng.uniform(0.03, 0.35))
        scene.cover(tint, flat(scene.lit(_TINTS[rng.integers(len(_TINTS))])))
    if rng.random() < 0.5:
        shine = _reflection(scene, frame) * lenses * np.float32(rng.uniform(0.1, 0.9))
        hue = np.clip(np.array((0.95, 0.97, 1.0)) + rng.normal(0, 0.08, 3), 0, 1)
        scene.cover(shine, flat(np.clip(hue * rng.uniform(0.5, 1.2), 0, 1)))
    clear = rng.random() < 0.08
    scene.cover(solid * np.float32(rng.uniform(0.3, 0.7) if clear else 1), _colours(scene))
    if rng.random() < 0.6:  # a highlight along the upper edge
        rims = [
            scene.at(o) - np.array((0, frame.rim * scene.scale * 0.25, 0)) for o in frame.outlines
        ]
        line = stroked(rims, max(0.35, frame.rim * scene.scale * 0.3), closed=True)
        line *= solid * np.clip((noise(rng, 5) - 0.45) * 4, 0, 1)
        scene.paint(line * np.float32(rng.uniform(0.3, 0.9)), flat(scene.lit((0.95, 0.95, 0.95))))
