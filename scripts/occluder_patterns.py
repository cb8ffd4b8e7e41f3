"""Colours and patterns for what is drawn before a face."""

from __future__ import annotations

import cv2
import numpy as np
from occluder_canvas import SIDE, Floats, Scene, flat, noise

SKINS = (
    (0.96, 0.82, 0.73),
    (0.9, 0.72, 0.6),
    (0.82, 0.62, 0.48),
    (0.7, 0.5, 0.37),
    (0.55, 0.37, 0.26),
    (0.4, 0.26, 0.18),
    (0.27, 0.17, 0.12),
)
HAIRS = (
    (0.05, 0.04, 0.04),
    (0.08, 0.06, 0.05),
    (0.17, 0.11, 0.08),
    (0.3, 0.2, 0.13),
    (0.5, 0.35, 0.2),
    (0.75, 0.6, 0.38),
    (0.85, 0.75, 0.58),
    (0.5, 0.22, 0.1),
    (0.65, 0.64, 0.63),
    (0.88, 0.87, 0.86),
)


def patch(scene: Scene, *, face: bool = False) -> Floats:
    """Return a part of another picture, of its face or beside it, enlarged or as it is."""
    rng = scene.rng
    other = scene.others[int(rng.integers(len(scene.others)))]
    height, width = other.shape[:2]
    part = int(rng.uniform(0.2, 0.5) * height)
    if face:
        top, left = rng.integers(height // 4, 3 * height // 4 - part // 2, 2)
        top, left = min(top, height - part), min(left, width - part)
    else:
        top = int(rng.integers(0, height - part))
        left = 0 if rng.random() < 0.5 else width - part
    cut = other[top : top + part, left : left + part]
    large = cv2.resize(cut, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.float32) / 255


def pattern(scene: Scene) -> Floats:
    """Return a surface: plain, rough, striped, checked, dotted, or cut from a picture."""
    rng = scene.rng
    kind = rng.random()
    if kind < 0.2:
        return patch(scene)
    if kind < 0.27:
        return patch(scene, face=True)
    first = scene.lit(rng.random(3) ** rng.uniform(0.5, 2))
    if rng.random() < 0.35:
        first = scene.lit(np.full(3, rng.random()))
    second = (
        scene.lit(rng.random(3))
        if rng.random() < 0.6
        else np.clip(first + rng.normal(0, 0.15), 0, 1)
    )
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(3, 30)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    if kind < 0.5:
        share = noise(rng, int(rng.integers(2, 7)), 1) * 0.4
    elif kind < 0.65:
        share = noise(rng, int(rng.integers(4, 40)), 3)
    elif kind < 0.78:
        share = np.clip(np.sin(u * 2 * np.pi / period) * 3 + 0.5, 0, 1)
    elif kind < 0.88:
        share = np.clip(
            np.sin(u * 2 * np.pi / period) * np.sin(v * 2 * np.pi / period) * 4 + 0.5, 0, 1
        )
    else:
        share = (np.hypot(u % period - period / 2, v % period - period / 2) < period / 4).astype(
            np.float32
        )
    share = share[..., None]
    colours = flat(first) * (1 - share) + flat(second) * share
    if rng.random() < 0.5:
        colours = colours * (0.75 + 0.5 * noise(rng, int(rng.integers(2, 6)), 2))[..., None]
    if rng.random() < 0.3:
        grain = rng.normal(0, rng.uniform(0.01, 0.08), (SIDE, SIDE, 1)).astype(np.float32)
        colours = colours + grain
    return np.asarray(np.clip(colours, 0, 1), np.float32)


def skin(scene: Scene) -> Floats:
    """Return a colour of skin: that of the face, or another one."""
    rng = scene.rng
    if rng.random() < 0.6:
        tone = scene.skin * rng.uniform(0.75, 1.2)
    else:
        tone = scene.lit(SKINS[rng.integers(len(SKINS))])
    return np.asarray(np.clip(tone * (1 + rng.normal(0, 0.03, 3)), 0, 1), np.float32)


def hair_colour(scene: Scene) -> Floats:
    """Return a colour of hair: that above the face, or another one."""
    rng = scene.rng
    if rng.random() < 0.5:
        x, y = np.round(scene.at([(rng.uniform(-3, 3), 10.2, 2.5)])[0, :2]).astype(int)
        if 2 <= x < SIDE - 2 and 2 <= y < SIDE - 2:
            return np.asarray(
                np.median(scene.image[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3), 0), np.float32
            )
    if rng.random() < 0.12:
        return scene.lit(rng.random(3))
    return scene.lit(HAIRS[rng.integers(len(HAIRS))])
