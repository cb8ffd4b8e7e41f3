"""Draw changes of a face that do not cover it: make-up, beards, paint, shadows, light."""

from __future__ import annotations

import numpy as np
from occluder_canvas import (
    SIDE,
    Floats,
    Scene,
    blurred,
    filled,
    flat,
    noise,
    strands,
    stroked,
)
from occluder_objects import _blob
from occluder_patterns import hair_colour

from engine.geometry.mesh_topology import (
    LEFT_LIDS,
    LEFT_ORBIT,
    OUTER_LIPS,
    RIGHT_LIDS,
    RIGHT_ORBIT,
)


def _dye(scene: Scene, mask: Floats, colour: Floats, strength: float) -> None:
    """Colour the skin; its own light and shade stay."""
    grey = scene.image.mean(2, keepdims=True)
    level = float(scene.skin.mean()) + 0.05
    dyed = np.clip(colour * grey / level * 0.8 + 0.2 * colour, 0, 1)
    scene.paint(mask * np.float32(strength), dyed)


def make_up(scene: Scene) -> None:
    """Colour on lids, lips and cheeks, and lines around the eyes."""
    rng = scene.rng
    strength = rng.uniform(0.2, 0.85)
    if rng.random() < 0.7:
        rings = (LEFT_ORBIT, RIGHT_ORBIT) if rng.random() < 0.5 else (LEFT_LIDS, RIGHT_LIDS)
        mask = blurred(filled(*[scene.mesh[list(ring)] for ring in rings]), rng.uniform(0.8, 3))
        _dye(scene, mask, scene.lit(rng.random(3) ** 1.5), strength)
    if rng.random() < 0.6:
        mask = blurred(filled(scene.mesh[list(OUTER_LIPS)]), 0.6)
        _dye(
            scene,
            mask,
            scene.lit((rng.uniform(0.3, 0.9), rng.uniform(0, 0.3), rng.uniform(0, 0.4))),
            strength,
        )
    if rng.random() < 0.4:
        lids = [scene.mesh[list(ring)] for ring in (LEFT_LIDS, RIGHT_LIDS)]
        scene.paint(
            stroked(lids, rng.uniform(0.5, 1.6), closed=True) * np.float32(0.7),
            flat((0.03, 0.02, 0.02)),
        )
    if rng.random() < 0.4:
        for vertex in (50, 280):
            spot = _blob(scene, scene.mesh[vertex, :2], 1.8 * scene.scale)
            _dye(scene, blurred(filled(spot), 3), scene.lit((0.8, 0.3, 0.3)), 0.4 * strength)


def face_paint(scene: Scene) -> None:
    """Stripes, fields or the whole face in a colour, with the skin's relief under it."""
    rng = scene.rng
    kind = rng.random()
    if kind < 0.35:
        mask = filled(scene.oval()) * np.clip((noise(rng, 4) - rng.uniform(0, 0.5)) * 5, 0, 1)
    elif kind < 0.7:
        lines = []
        for _ in range(int(rng.integers(1, 5))):
            x, y = rng.uniform(-5, 5), rng.uniform(-8, 6)
            ends = [
                (x, y),
                (x + rng.normal(0, 2), y + rng.normal(0, 2.5)),
                (x + rng.normal(0, 4), y + rng.normal(0, 3)),
            ]
            lines.append(scene.on_face(ends))
        mask = stroked(lines, rng.uniform(1, 6))
    else:
        mask = filled(
            _blob(scene, scene.mesh[rng.integers(468), :2], rng.uniform(1, 5) * scene.scale)
        )
    mask = blurred(mask, rng.uniform(0.4, 2.5))
    _dye(scene, mask, scene.lit(rng.random(3)), rng.uniform(0.3, 0.75))


def beard(scene: Scene) -> None:
    """Hair that grows on chin, cheeks and lip, and stronger brows."""
    rng = scene.rng
    tone = hair_colour(scene)
    count = int(rng.integers(150, 500))
    full = rng.random() < 0.5
    x, y = rng.uniform(-6.8, 6.8, count), rng.uniform(-10, -1.5, count)
    border = -3.2 - 0.02 * x**2 + np.where(np.abs(x) > 4.5, (np.abs(x) - 4.5) * 2.2, 0)
    lip = (np.abs(x) < 2.9) & (y > -3.3) & (y < -2.1)
    mouth = (np.abs(x) < 2.6) & (y < -3.2) & (y > -5.6)
    keep = ((y < border) & ~mouth & (np.abs(x) < (7 if full else 3))) | lip
    x, y = x[keep], y[keep]
    if len(x):
        length = rng.uniform(0.25, 1.6)
        roots = np.column_stack((x, y))
        tips = roots + np.column_stack(
            (0.12 * x + rng.normal(0, 0.2, len(x)), -length * rng.uniform(0.6, 1.2, len(x)))
        )
        begin, end = scene.on_face(roots), scene.on_face(tips, lift=0.1)
        lines = list(np.stack((begin, end), 1))
        colours = tone * rng.uniform(0.6, 1.4, (len(lines), 1))
        alpha, ink = strands(lines, colours, [rng.uniform(0.4, 1.2)] * len(lines), tone)
        base = blurred((alpha > 0.05).astype(np.float32), 2.5)
        scene.paint(base * np.float32(rng.uniform(0.1, 0.7)), flat(tone * 0.8))
        scene.paint(alpha * np.float32(rng.uniform(0.4, 1)), ink)
    if rng.random() < 0.4:
        for ring in (
            (70, 63, 105, 66, 107, 55, 65, 52, 53, 46),
            (300, 293, 334, 296, 336, 285, 295, 282, 283, 276),
        ):
            scene.paint(
                blurred(filled(scene.mesh[list(ring)]), 1.0) * np.float32(rng.uniform(0.3, 0.8)),
                flat(tone),
            )


def tongue(scene: Scene) -> None:
    """A tongue that is put out over lip and chin."""
    rng = scene.rng
    wide, low = rng.uniform(1.0, 2.2), rng.uniform(-8.5, -5.2)
    turn = np.linspace(0, np.pi, 16)
    root = -3.9 - rng.uniform(0, 0.6)
    aside = rng.normal(0, 0.5)
    x = wide * np.cos(turn) + aside * np.sin(turn)
    y = root + (low - root) * np.sin(turn) ** rng.uniform(0.4, 0.9)
    outline = scene.on_face(np.column_stack((x, y)), lift=0.5)
    alpha = blurred(filled(outline), 0.6)
    tone = scene.lit((rng.uniform(0.65, 0.95), rng.uniform(0.3, 0.5), rng.uniform(0.35, 0.5)))
    scene.cast(alpha, rng.uniform(0.1, 0.4), 2, 1.5)
    scene.paint(alpha, flat(tone) * (0.8 + 0.4 * noise(rng, 12, 2))[..., None])
    middle = scene.on_face([(aside * 0.3, root), (aside, 0.4 * root + 0.6 * low)], lift=0.5)
    scene.paint(blurred(stroked([middle], 1.0), 0.8) * alpha * np.float32(0.35), flat(tone * 0.6))


def relief(scene: Scene) -> None:
    """Deeper lines and pores, as of old skin in hard light."""
    rng = scene.rng
    for sigma in (rng.uniform(0.8, 1.6), rng.uniform(2.5, 6)):
        detail = scene.image - blurred(np.asarray(scene.image, np.float32), sigma)
        scene.image = np.clip(scene.image + rng.uniform(0.3, 1.6) * detail, 0, 1)


def shadow(scene: Scene) -> None:
    """A shadow with a hard or a soft edge: a half, a bar, blinds, leaves; or coloured light."""
    rng = scene.rng
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    u = (x - SIDE / 2) * np.cos(angle) + (y - SIDE / 2) * np.sin(angle)
    u = u + rng.uniform(0, 12) * (noise(rng, 4) - 0.5)
    kind = rng.random()
    edge = rng.uniform(0.3, 2)
    if kind < 0.2:  # of a brim
        brow = rng.uniform(-1, 6) + rng.uniform(-0.05, 0.03) * np.linspace(-9, 9, 15) ** 2
        line = scene.on_face(np.column_stack((np.linspace(-9, 9, 15), brow)))
        mask = filled(np.concatenate((line, scene.at([(14, 20, 0), (-14, 20, 0)]))))
    elif kind < 0.45:
        mask = np.clip((u - rng.uniform(-50, 50)) * edge + 0.5, 0, 1)
    elif kind < 0.65:
        period = rng.uniform(14, 70)
        mask = np.clip(
            (np.sin(u * 2 * np.pi / period) + rng.uniform(-0.6, 0.6)) * period * edge * 0.15, 0, 1
        )
    elif kind < 0.8:
        mask = np.clip(
            (noise(rng, int(rng.integers(3, 12)), 2) - rng.uniform(0.35, 0.6)) * 12 * edge, 0, 1
        )
    else:
        mask = filled(
            _blob(scene, rng.uniform(30, SIDE - 30, 2).astype(np.float32), rng.uniform(15, 60))
        )
    mask = blurred(mask.astype(np.float32), rng.uniform(0, 3))
    scene.shade(mask, rng.uniform(0.3, 0.85))
    if rng.random() < 0.4:
        scene.image = np.clip(scene.image * rng.uniform(1.0, 1.6), 0, 1)
    if rng.random() < 0.25:
        colour = rng.uniform(0.2, 1, 3).astype(np.float32)
        scene.image = np.clip(scene.image * (1 + (colour * 1.6 - 1) * mask[..., None]), 0, 1)


def glare(scene: Scene) -> None:
    """Bright, shiny skin in some places."""
    rng = scene.rng
    mask = np.zeros((SIDE, SIDE), np.float32)
    for _ in range(int(rng.integers(1, 5))):
        spot = _blob(scene, scene.mesh[rng.integers(468), :2], rng.uniform(0.4, 2.5) * scene.scale)
        mask = np.maximum(mask, blurred(filled(spot), rng.uniform(1, 5)))
    scene.image = 1 - (1 - scene.image) * (1 - rng.uniform(0.2, 0.8) * mask[..., None])


def tattoo(scene: Scene) -> None:
    """Thin dark lines in the skin, scars, moles and freckles."""
    rng = scene.rng
    if rng.random() < 0.5:
        spots = scene.on_face(np.column_stack((rng.uniform(-6, 6, 60), rng.uniform(-7, 6, 60))))
        mask = filled(
            *[_blob(scene, at, rng.uniform(0.05, 0.14) * scene.scale) for at in spots[:, :2]]
        )
        scene.paint(
            blurred(mask, 0.4) * np.float32(rng.uniform(0.15, 0.6)),
            flat(scene.skin * (0.55, 0.4, 0.35)),
        )
        return
    lines = []
    for _ in range(int(rng.integers(1, 4))):
        start = rng.uniform((-5, -7), (5, 6))
        walk = start + np.cumsum(rng.normal(0, 0.5, (9, 2)), 0)
        lines.append(scene.on_face(walk))
    ink = scene.skin * (0.45, 0.5, 0.6) if rng.random() < 0.7 else scene.skin * (1.2, 0.75, 0.75)
    scene.paint(
        stroked(lines, rng.uniform(0.4, 1.2)) * np.float32(rng.uniform(0.3, 0.7)),
        flat(np.clip(ink, 0, 1)),
    )


def mark(scene: Scene) -> None:
    """One or two of them."""
    rng = scene.rng
    kinds = (make_up, face_paint, beard, shadow, glare, tattoo, tongue, relief)
    for _ in range(int(rng.integers(1, 3))):
        kinds[rng.choice(len(kinds), p=[0.15, 0.06, 0.17, 0.26, 0.08, 0.06, 0.1, 0.12])](scene)
    scene.image = np.clip(scene.image, 0, 1).astype(np.float32)
