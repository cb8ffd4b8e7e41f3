"""Things before a face other than spectacles: hands, masks, hair, hats, objects, writing."""

from __future__ import annotations

import string

import cv2
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
    warped,
)
from occluder_patterns import hair_colour, patch, pattern, skin

_Y, _X = np.mgrid[:SIDE, :SIDE].astype(np.float32)


def _spot(scene: Scene) -> Floats:
    """Return a random place on the face, in the crop."""
    rng = scene.rng
    place = np.array([(rng.uniform(-6.5, 6.5), rng.uniform(-9, 7.5))])
    return scene.on_face(place)[0, :2]


# Hands ------------------------------------------------------------------------------------------


def _capsule(
    scene: Scene, ends: Floats, radii: tuple[float, float], tone: Floats, rough: Floats
) -> None:
    """A rounded limb from one end to the other, lit as a cylinder is."""
    start, along = ends[0], ends[1] - ends[0]
    length = float(np.hypot(*along)) + 1e-6
    unit = along / length
    run = np.clip(((_X - start[0]) * unit[0] + (_Y - start[1]) * unit[1]) / length, 0, 1)
    away_x = _X - start[0] - run * along[0]
    away_y = _Y - start[1] - run * along[1]
    radius = radii[0] + (radii[1] - radii[0]) * run
    away = np.hypot(away_x, away_y)
    alpha = np.clip(radius - away + 0.5, 0, 1)
    if alpha.max() <= 0:
        return
    share = np.clip(away / radius, 0, 1)
    sideways = (away_x * scene.light[0] + away_y * scene.light[1]) / radius
    light = 0.62 + 0.3 * np.sqrt(1 - share**2) + 0.22 * sideways
    light = light * (1 - 0.3 * np.clip((share - 0.75) * 4, 0, 1)) * rough
    colours = np.clip(light[..., None] * tone, 0, 1)
    redder = np.clip((share - 0.6) * 2.5, 0, 1)[..., None] * np.array((0.0, 0.05, 0.06), np.float32)
    scene.cover(alpha, np.clip(colours - redder * tone, 0, 1))


def _finger(
    scene: Scene, base: Floats, heading: float, length: float, radius: float, tone: Floats
) -> None:
    rng = scene.rng
    bend = rng.normal(0, 0.16)
    points, angle = [base], heading
    for part in (0.45, 0.3, 0.25):
        step = length * part * np.array((np.cos(angle), np.sin(angle)))
        points.append(points[-1] + step)
        angle += bend
    widths = radius * np.array((1.05, 1.0, 0.92, 0.78))
    path = np.array(points, np.float32)
    if rng.random() < 0.8:
        mask = stroked([path], 2 * radius)
        scene.cast(mask, rng.uniform(0.1, 0.45), rng.uniform(1, 6), rng.uniform(1.5, 4))
    rough = (0.9 + 0.2 * noise(rng, 24, 2)).astype(np.float32)
    for k in range(3):
        _capsule(scene, path[k : k + 2], (float(widths[k]), float(widths[k + 1])), tone, rough)
    side = np.array((-np.sin(heading), np.cos(heading)))
    creases = [
        np.stack((point - 0.7 * radius * side, point + 0.7 * radius * side))
        for point in path[1:3] + rng.normal(0, 0.5, (2, 2))
    ]
    scene.paint(blurred(stroked(creases, 0.6), 0.4) * 0.4, flat(tone * 0.55))
    if rng.random() < 0.55:  # the nail
        centre = path[3] - 0.1 * (path[3] - path[2])
        turn = np.linspace(0, 2 * np.pi, 16)
        nail = centre + radius * (
            0.72
            * np.cos(turn)[:, None]
            * (path[3] - path[2])
            / (np.hypot(*(path[3] - path[2])) + 1e-6)
            + 0.52 * np.sin(turn)[:, None] * side
        )
        colour = rng.random(3) if rng.random() < 0.3 else np.clip(tone * (1.12, 1.05, 1.08), 0, 1)
        scene.paint(filled(nail) * np.float32(0.85), flat(colour))


def hand(scene: Scene) -> None:
    """Fingers, with or without the palm behind them, from any side; their tips on the face."""
    rng, pixels = scene.rng, scene.scale
    tone = skin(scene)
    glove = rng.random() < 0.06
    if glove:
        tone = scene.lit(rng.random(3)).astype(np.float32)
    tip = _spot(scene)
    # From below or the sides rather than from above.
    heading = -np.pi / 2 + rng.normal(0, 1.0)
    forward = np.array((np.cos(heading), np.sin(heading)))
    across = np.array((-forward[1], forward[0]))
    radius = rng.uniform(0.7, 1.0) * pixels
    length = rng.uniform(5.5, 8.5) * pixels
    count = int(rng.choice([1, 2, 3, 4, 4]))
    spread = rng.uniform(1.85, 2.3) * radius
    fan = rng.normal(0, 0.09)
    knuckles = tip - forward * length
    rough = (0.92 + 0.16 * noise(rng, 12, 2)).astype(np.float32)
    wide = 2.1 * radius + 0.5 * spread * 3
    palm = np.stack((knuckles - forward * 5.5 * pixels, knuckles - forward * 0.42 * wide))
    wrist = np.stack((palm[0] - forward * 14 * pixels, palm[0]))
    _capsule(scene, wrist.astype(np.float32), (0.62 * wide, 0.62 * wide), tone, rough)
    _capsule(scene, palm.astype(np.float32), (0.85 * wide, wide), tone, rough)
    if rng.random() < 0.5:
        sign = rng.choice([-1, 1])
        thumb = palm.mean(0) + sign * across * wide * 0.8
        _finger(
            scene,
            thumb.astype(np.float32),
            heading + sign * rng.uniform(0.3, 1.1),
            length * 0.75,
            radius * 1.1,
            tone,
        )
    order = rng.permutation(count)
    for k in order:
        offset = (k - (count - 1) / 2) * spread
        base = knuckles + across * offset
        reach = length * (1 - 0.13 * abs(k - 0.45 * count) / 1.5 + rng.normal(0, 0.04))
        turn = heading + fan * (k - (count - 1) / 2) + rng.normal(0, 0.03)
        _finger(
            scene,
            base.astype(np.float32),
            turn,
            float(reach),
            radius * rng.uniform(0.9, 1.05),
            tone,
        )
    if rng.random() < 0.3:  # a fist or the folded fingers' backs
        blob = tip - forward * radius * rng.uniform(0, 2)
        ends = np.stack((blob - across * spread, blob + across * spread)).astype(np.float32)
        _capsule(scene, ends, (1.6 * radius, 1.6 * radius), tone, rough)


def cut_hand(scene: Scene) -> None:
    """A hand cut out of another picture, its fingers on the face."""
    rng = scene.rng
    if not len(scene.hands):
        hand(scene)
        return
    whole = scene.hands[int(rng.integers(len(scene.hands)))].astype(np.float32) / 255
    if rng.random() < 0.5:
        whole = np.ascontiguousarray(whole[:, ::-1])
    # A hand is about as long as a face; its crop is twice as long.
    scale = rng.uniform(20, 38) * scene.scale / SIDE
    turn = rng.normal(0, 1.0)
    c, s = scale * np.cos(turn), scale * np.sin(turn)
    rows, cols = np.nonzero(whole[..., 3] > 0.5)
    held = rng.integers(len(rows))
    x, y = cols[held], rows.min() + (rows[held] - rows.min()) * rng.uniform(0, 0.7)
    left, top = _spot(scene) - (c * x - s * y, s * x + c * y)
    laid = warped(whole, ((c, -s, left), (s, c, top)))
    alpha = laid[..., 3]
    colours = laid[..., :3]
    if rng.random() < 0.6:  # the face's own skin
        own = np.median(whole[whole[..., 3] > 0.9][:, :3], axis=0)
        colours = colours * (scene.skin / np.maximum(own, 0.05)) ** rng.uniform(0.6, 1.0)
    colours = np.clip(colours * rng.uniform(0.7, 1.25), 0, 1)
    if rng.random() < 0.7:
        scene.cast(alpha, rng.uniform(0.1, 0.4), rng.uniform(1, 6), rng.uniform(1.5, 4))
    scene.cover(alpha, colours)


# Masks ------------------------------------------------------------------------------------------


def _folds(scene: Scene, alpha: Floats, count: int) -> None:
    """Creases across a cloth, darker and lighter, within `alpha`."""
    rng = scene.rng
    rows, cols = np.nonzero(alpha > 0.5)
    if not len(rows):
        return
    left, right, top, bottom = cols.min(), cols.max(), rows.min(), rows.max()
    for _ in range(count):
        y = rng.uniform(top, bottom)
        x = np.linspace(left, right, 12)
        bow = (
            rng.uniform(-0.05, 0.25)
            * (bottom - top)
            * (1 - ((x - x.mean()) / (np.ptp(x) / 2 + 1)) ** 2)
        )
        line = np.column_stack((x, y + bow + rng.normal(0, 0.7, 12)))
        dark = rng.random() < 0.6
        mask = blurred(stroked([line], rng.uniform(0.6, 3)), rng.uniform(0.3, 1.5)) * alpha
        scene.paint(
            mask * np.float32(rng.uniform(0.15, 0.5)), flat((0.0,) * 3 if dark else (1.0,) * 3)
        )


def mask(scene: Scene) -> None:
    """A medical or a cloth mask over nose and mouth, or pulled down below the nose."""
    rng = scene.rng
    high = rng.uniform(0.4, 2.6) if rng.random() < 0.8 else rng.uniform(-2.8, -1.2)
    side_high = min(high, rng.uniform(-1.5, 1.2))
    x = np.linspace(-7.0, 7.0, 21)
    peak = np.exp(-((x / rng.uniform(1.6, 3.5)) ** 2))
    upper = scene.on_face(np.column_stack((x, side_high + (high - side_high) * peak)), lift=0.35)
    low = rng.uniform(-10.2, -9.2)
    turn = np.linspace(0.12 * np.pi, 0.88 * np.pi, 18)
    jaw = np.column_stack((6.9 * np.cos(turn), -4.0 + (low + 4.0) * np.sin(turn)))
    lower = scene.on_face(jaw, lift=0.4)
    lower[:, :2] += 0.05 * (lower[:, :2] - scene.mesh[5, :2])
    outline = np.concatenate((upper, lower))
    alpha = blurred(filled(outline), rng.uniform(0.2, 0.8))
    if rng.random() < 0.7:
        scene.cast(alpha, rng.uniform(0.15, 0.5), rng.uniform(1, 4), rng.uniform(1, 3))
    kind = rng.random()
    if kind < 0.55:
        tones = (
            (0.62, 0.8, 0.88),
            (0.9, 0.92, 0.93),
            (0.1, 0.1, 0.11),
            (0.75, 0.85, 0.8),
            (0.9, 0.75, 0.78),
        )
        colours = flat(scene.lit(tones[rng.integers(len(tones))]))
    else:
        colours = pattern(scene)
    ridge = scene.mesh[[5, 17], :2].mean(0)
    away = (_X - ridge[0]) / (6.5 * scene.scale)
    shape = 1 - rng.uniform(0.1, 0.5) * away**2 + rng.uniform(0, 0.2) * away * scene.light[0]
    scene.cover(
        alpha,
        np.clip(colours * shape[..., None] * (0.85 + 0.3 * noise(rng, 8, 2))[..., None], 0, 1),
    )
    _folds(scene, alpha, int(rng.integers(2, 9)))
    if rng.random() < 0.7:  # the straps
        ends = [
            (upper[0], scene.at([(-7.9, 2.0, -3)])[0]),
            (upper[-1], scene.at([(7.9, 2.0, -3)])[0]),
        ]
        ends += [
            (lower[-1], scene.at([(-7.9, -1.5, -3)])[0]),
            (lower[0], scene.at([(7.9, -1.5, -3)])[0]),
        ]
        lines = [np.stack(pair) for pair in ends]
        scene.cover(
            stroked(lines, rng.uniform(0.8, 2.0)),
            flat(scene.lit(np.full(3, rng.uniform(0.1, 0.95)))),
        )


def scarf(scene: Scene) -> None:
    """Cloth over the lower part of the face, down to the picture's end."""
    rng = scene.rng
    high = rng.uniform(-9, 1.5)
    x = np.linspace(-11, 11, 23)
    slope = rng.normal(0, 0.12)
    bow = rng.uniform(-0.03, 0.05)
    wave = rng.normal(0, 0.25, 23)
    upper = scene.at(np.column_stack((x, high + slope * x + bow * x**2 + wave, np.full(23, 4.0))))
    down = scene.at([(22, -30, 0), (-22, -30, 0)])
    alpha = blurred(filled(np.concatenate((upper, down))), rng.uniform(0.3, 2))
    scene.cast(alpha, rng.uniform(0.2, 0.6), rng.uniform(1, 5), rng.uniform(1, 4))
    scene.cover(alpha, pattern(scene))
    _folds(scene, alpha, int(rng.integers(3, 12)))


# Hair -------------------------------------------------------------------------------------------


def _depth(x: Floats) -> Floats:
    return np.asarray(5.4 - 0.085 * x**2, np.float32)


def _lock(scene: Scene, kind: str) -> list[Floats]:
    """Lines of hair in the crop: fringe, curtain, loose strands, or curls."""
    rng = scene.rng
    share = np.linspace(0, 1, 32 if kind == "curls" else 14)
    lines = []
    drift, end = rng.normal(0, 2.0), rng.uniform(1.5, 6.5)
    left, right = sorted(rng.uniform(-8, 8, 2))
    side = rng.choice([-1, 1])
    inward = rng.uniform(0.5, 4.5)
    curl, pitch = (
        (rng.uniform(0.2, 0.8), rng.uniform(1.5, 5))
        if kind == "curls"
        else (rng.uniform(0, 0.25), 1.5)
    )
    count = {
        "fringe": rng.integers(80, 260),
        "curtain": rng.integers(60, 220),
        "strands": rng.integers(1, 26),
        "curls": rng.integers(20, 90),
    }[kind]
    clumps = rng.uniform(-8, 8, 14) if kind == "fringe" else rng.normal(0, 0.8, 8)
    parting = rng.uniform(-5, 5)
    for _ in range(int(count)):
        clump = clumps[rng.integers(len(clumps))]
        if kind == "fringe":
            x0 = clump + rng.normal(0, 0.6)
            x0 = min(max(x0, min(left, -3.0)), max(right, 3.0))
            y0, y1 = rng.uniform(8.5, 10.5), end + rng.normal(0, 0.8) - 0.03 * x0**2
            x1 = x0 + drift + 0.15 * (x0 - parting)
        elif kind == "curtain":
            x0, y0 = side * rng.uniform(1, 7.5), rng.uniform(8, 10.5)
            y1 = rng.uniform(-14, -2)
            x1 = side * (8.2 - inward * rng.random() ** 0.7) + clump
        else:
            x0, y0 = rng.uniform(-8, 8), rng.uniform(6.5, 10)
            reach = rng.uniform(2, 15) if kind == "strands" else rng.uniform(2, 7)
            x1, y1 = x0 + rng.normal(0, 3), y0 - reach
        swing = rng.normal(0, 0.5) + (side * 1.2 if kind == "curtain" else 0)
        x = x0 + (x1 - x0) * share + swing * np.sin(np.pi * share)
        x = x + curl * np.sin(2 * np.pi * pitch * share + rng.uniform(0, 6.3))
        y = (
            y0
            + (y1 - y0) * share
            + 0.5 * curl * np.cos(2 * np.pi * pitch * share + rng.uniform(0, 6.3))
        )
        lines.append(scene.at(np.column_stack((x, y, _depth(x) + 0.4))))
    return lines


def hair(scene: Scene) -> None:
    """A fringe, hair at the sides, curls, or a few strands across the face."""
    rng = scene.rng
    kind = str(rng.choice(["fringe", "curtain", "strands", "curls"], p=[0.38, 0.2, 0.28, 0.14]))
    lines = _lock(scene, kind)
    tone = hair_colour(scene)
    if kind == "strands":
        widths = rng.uniform(0.3, 1.0, len(lines))
    else:
        usual = np.array((0.5, 0.7, 1.0, 1.6, 3.0))
        widths = usual[rng.choice(5, len(lines), p=[0.35, 0.25, 0.2, 0.12, 0.08])]
    gloss = rng.uniform(0.75, 1.3, (len(lines), 1)) + rng.normal(0, 0.03, (len(lines), 3))
    alpha, colours = strands(lines, tone * gloss, list(widths), tone)
    if kind == "fringe" and rng.random() < 0.6:  # the mass above
        x = np.linspace(-8.5, 8.5, 18)
        y = rng.uniform(5.5, 8.5) - 0.02 * x**2 + rng.normal(0, 0.3, 18)
        body = filled(
            np.concatenate(
                (scene.at(np.column_stack((x, y, _depth(x)))), scene.at([(9, 13, 0), (-9, 13, 0)]))
            )
        )
        ground = flat(tone) * (0.7 + 0.6 * noise(rng, 20, 2))[..., None]
        colours = np.where(alpha[..., None] > 0.5, colours, ground)
        alpha = np.maximum(alpha, blurred(body, 1.0))
    soft = rng.uniform(0, 0.7)
    alpha = blurred(alpha, soft) * np.float32(rng.uniform(0.75 if kind == "strands" else 0.9, 1))
    colours = blurred(np.ascontiguousarray(colours, np.float32), soft)
    scene.cast(alpha, rng.uniform(0.1, 0.5), rng.uniform(0.5, 4), rng.uniform(0.8, 3))
    scene.cover(alpha, colours)


# Hats -------------------------------------------------------------------------------------------


def hat(scene: Scene) -> None:
    """A brim, a cap, a band or a hood over the forehead, and its shadow."""
    rng = scene.rng
    high = rng.uniform(3.6, 8.6)
    x = np.linspace(-12, 12, 25)
    bow = rng.uniform(-0.06, 0.03)
    wave = rng.normal(0, 0.08, 25)
    forward = rng.uniform(4.5, 9)
    edge = scene.at(np.column_stack((x, high + bow * x**2 + wave, forward - 0.06 * x**2)))
    kind = rng.random()
    if kind < 0.25:  # a band around the head
        top = scene.at(
            np.column_stack((x, high + rng.uniform(1.5, 4) + bow * x**2, 4 - 0.06 * x**2))
        )
        alpha = filled(np.concatenate((edge, top[::-1])))
    else:
        alpha = filled(np.concatenate((edge, scene.at([(25, 35, 0), (-25, 35, 0)]))))
    alpha = blurred(alpha, rng.uniform(0.2, 1.2))
    if rng.random() < 0.8:
        down = ((1, 0, 0), (0, 1, rng.uniform(2, 30)))
        below = warped(alpha, down, cv2.BORDER_REPLICATE)
        scene.shade(blurred(below, rng.uniform(0.8, 6)), rng.uniform(0.2, 0.7))
    scene.cover(alpha, pattern(scene))
    if rng.random() < 0.4:
        scene.paint(
            stroked([edge], rng.uniform(0.6, 2)) * np.float32(0.6), flat(scene.lit((0.1, 0.1, 0.1)))
        )


def hood(scene: Scene) -> None:
    """A helmet, a hood or a shawl around the face, which reaches over its border."""
    rng = scene.rng
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    wide, tall = rng.uniform(5.2, 7.8), rng.uniform(7.5, 10.5)
    ring = np.column_stack((wide * np.cos(turn), -0.5 + tall * np.sin(turn), np.full(40, 2.5)))
    ring[:, :2] += rng.normal(0, 0.12, (40, 2)) + rng.normal(0, 0.5, 2)
    hole = filled(scene.at(ring))
    alpha = blurred(1 - hole, rng.uniform(0.3, 1.5))
    scene.shade(blurred(1 - hole, rng.uniform(2, 8)), rng.uniform(0.1, 0.6))
    scene.cover(alpha, pattern(scene))
    if rng.random() < 0.35:  # a visor
        veil = hole * np.float32(rng.uniform(0.03, 0.5))
        scene.cover(
            veil * (0.5 + noise(rng, 3)),
            patch(scene) if rng.random() < 0.5 else flat(scene.lit(rng.random(3))),
        )


# Objects ----------------------------------------------------------------------------------------


def _blob(scene: Scene, centre: Floats, size: float) -> Floats:
    rng = scene.rng
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    radius = np.ones(48)
    for k in range(1, 6):
        radius += rng.normal(0, 0.22 / k) * np.cos(k * turn + rng.uniform(0, 6.3))
    stretch = rng.uniform(0.5, 1.0)
    shape = (
        np.column_stack((np.cos(turn), stretch * np.sin(turn))) * np.maximum(radius, 0.2)[:, None]
    )
    lean = rng.uniform(0, np.pi)
    c, s = np.cos(lean), np.sin(lean)
    return np.asarray(centre + size * shape @ np.array([[c, s], [-s, c]]), np.float32)


def _box(scene: Scene, centre: Floats, half: tuple[float, float], *, rounded: bool) -> Floats:
    rng = scene.rng
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False) + np.pi / 40
    c, s = np.cos(turn), np.sin(turn)
    power = 2 / (rng.uniform(6, 14) if rounded else 40)
    shape = np.column_stack(
        (half[0] * np.sign(c) * np.abs(c) ** power, half[1] * np.sign(s) * np.abs(s) ** power)
    )
    shape[:, 0] *= 1 + rng.uniform(-0.12, 0.12) * shape[:, 1] / half[1]
    lean = rng.normal(0, 0.4)
    cosine, sine = np.cos(lean), np.sin(lean)
    return np.asarray(centre + shape @ np.array([[cosine, sine], [-sine, cosine]]), np.float32)


def _lay(scene: Scene, alpha: Floats, colours: Floats) -> None:
    """Cover with a thing that has a shadow."""
    rng = scene.rng
    if rng.random() < 0.6:
        scene.cast(alpha, rng.uniform(0.1, 0.5), rng.uniform(1, 9), rng.uniform(1, 5))
    scene.cover(alpha, colours)


def _round_light(scene: Scene, centre: Floats, radius: float) -> Floats:
    """Return the brightness of a ball."""
    dx, dy = (_X - centre[0]) / radius, (_Y - centre[1]) / radius
    depth = np.sqrt(np.clip(1 - dx**2 - dy**2, 0, 1))
    sideways = dx * scene.light[0] + dy * scene.light[1]
    return np.asarray(np.clip(0.55 + 0.35 * depth + 0.3 * sideways, 0.15, 1.4))


def thing(scene: Scene) -> None:
    """A microphone, a cup, a telephone, food, a ball, leaves, or a shape of any surface."""
    rng, pixels = scene.rng, scene.scale
    kind = int(rng.integers(8))
    centre = _spot(scene)
    if kind == 0:  # a microphone before the mouth
        centre = scene.mesh[[13, 14], :2].mean(0) + rng.normal(0, 2.2 * pixels, 2)
        radius = rng.uniform(1.2, 3.2) * pixels
        heading = np.pi / 2 + rng.normal(0, 0.7)
        forward = np.array((np.cos(heading), np.sin(heading)))
        tone = scene.lit(np.full(3, rng.uniform(0.03, 0.6))).astype(np.float32)
        ends = np.stack((centre, centre + forward * 30 * pixels)).astype(np.float32)
        scene.cast(stroked([ends], radius), 0.3, 4, 2)
        _capsule(scene, ends, (radius * 0.7, radius * 0.5), tone, np.ones_like(scene.seen))
        ball = filled(_blob(scene, centre, radius * 0.01)) * 0
        cv2.circle(
            ball, tuple(int(v) for v in np.round(centre)), max(int(radius), 2), 1.0, -1, cv2.LINE_AA
        )
        mesh = 0.75 + 0.5 * ((np.sin(_X * 2.2) * np.sin(_Y * 2.2)) > 0)
        shade = (_round_light(scene, centre, radius) * mesh)[..., None]
        scene.cover(
            ball,
            np.clip(scene.lit(np.full(3, rng.uniform(0.1, 0.6))) * shade, 0, 1).astype(np.float32),
        )
    elif kind == 1:  # a cup or a bottle
        aside = np.array((rng.normal(0, 1.5), rng.uniform(0, 4)))
        centre = scene.mesh[[13, 14], :2].mean(0) + aside * pixels
        half = (rng.uniform(1.5, 4.5) * pixels, rng.uniform(3, 7) * pixels)
        alpha = filled(_box(scene, centre, half, rounded=True))
        across = (_X - centre[0]) / half[0]
        light = np.clip(1.05 - 0.5 * across**2 + 0.3 * across * scene.light[0], 0.2, 1.4)[..., None]
        alpha = alpha * np.float32(rng.uniform(0.3, 0.8) if rng.random() < 0.15 else 1)
        _lay(scene, alpha, np.clip(pattern(scene) * light, 0, 1))
    elif kind == 2:  # a telephone, a book, a card
        half = (rng.uniform(1.5, 4.5) * pixels, rng.uniform(3, 8) * pixels)
        outline = _box(scene, centre, half, rounded=rng.random() < 0.7)
        colours = (
            flat(scene.lit(np.full(3, rng.uniform(0.02, 0.2))))
            if rng.random() < 0.5
            else pattern(scene)
        )
        _lay(scene, filled(outline), colours)
        if rng.random() < 0.5:
            scene.paint(stroked([outline], 0.8, closed=True), flat(scene.lit(rng.random(3))))
    elif kind == 3:  # food, balls, balloons
        radius = rng.uniform(1, 5) * pixels
        alpha = filled(
            _blob(scene, centre, radius)
            if rng.random() < 0.5
            else _box(scene, centre, (radius, radius * 0.98), rounded=False)
        )
        if rng.random() < 0.5:
            alpha = np.clip(radius - np.hypot(_X - centre[0], _Y - centre[1]) + 0.5, 0, 1)
        _lay(
            scene,
            alpha,
            np.clip(pattern(scene) * _round_light(scene, centre, radius)[..., None], 0, 1),
        )
    elif kind == 4:  # sticks, cables, straws, pens
        lines = []
        for _ in range(int(rng.integers(1, 4))):
            a, b = _spot(scene), rng.uniform(-20, SIDE + 20, 2)
            middle = (a + b) / 2 + rng.normal(0, 1.5 * pixels, 2)
            share = np.linspace(0, 1, 14)[:, None]
            lines.append((1 - share) ** 2 * a + 2 * share * (1 - share) * middle + share**2 * b)
        _lay(scene, stroked(lines, rng.uniform(0.6, 7)), pattern(scene))
    elif kind == 5:  # leaves, petals, flakes, drops of paint far before the face
        shapes = [
            _blob(scene, _spot(scene), rng.uniform(0.4, 2.5) * pixels)
            for _ in range(int(rng.integers(2, 14)))
        ]
        _lay(scene, blurred(filled(*shapes), rng.uniform(0, 1.5)), pattern(scene))
    else:  # any shape
        size = rng.uniform(1.2, 6.5) * pixels
        if kind == 6:
            outline = _blob(scene, centre, size)
        else:
            turn = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 9))))
            outline = centre + size * rng.uniform(0.6, 1.3, (len(turn), 1)) * np.column_stack(
                (np.cos(turn), np.sin(turn))
            )
        alpha = blurred(filled(outline), rng.uniform(0, 2.5) if rng.random() < 0.4 else 0)
        _lay(scene, alpha, pattern(scene))


def another_head(scene: Scene) -> None:
    """The head of someone nearer, cut out of another picture."""
    rng = scene.rng
    other = scene.others[int(rng.integers(len(scene.others)))].astype(np.float32) / 255
    size = rng.uniform(0.7, 1.4)
    angle = rng.uniform(0, 2 * np.pi)
    shift = rng.uniform(0.35, 0.75) * SIDE * np.array((np.cos(angle), 0.7 * np.sin(angle)))
    centre = scene.mesh[5, :2] + shift
    scale = size * SIDE / len(other)
    left, top = centre - scale * len(other) / 2
    picture = warped(other, ((scale, 0, left), (0, scale, top)), cv2.BORDER_REPLICATE)
    turn = np.linspace(0, 2 * np.pi, 40)
    radius = 1 + 0.04 * rng.normal(0, 1, 40)
    outline = (
        centre
        + np.column_stack((0.33 * np.cos(turn), 0.06 + 0.44 * np.sin(turn)))
        * (SIDE * size * radius)[:, None]
    )
    alpha = blurred(filled(outline), rng.uniform(0.5, 2))
    _lay(scene, alpha, np.clip(picture * rng.uniform(0.6, 1.2), 0, 1))


def writing(scene: Scene) -> None:
    """Captions, marks and drawn shapes laid over the picture."""
    rng = scene.rng
    alpha = np.zeros((SIDE * 2, SIDE * 2), np.uint8)
    fonts = (
        cv2.FONT_HERSHEY_SIMPLEX,
        cv2.FONT_HERSHEY_DUPLEX,
        cv2.FONT_HERSHEY_COMPLEX,
        cv2.FONT_HERSHEY_TRIPLEX,
        cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
    )
    letters = np.array(list(string.ascii_letters + string.digits + "   .!?&"))
    size, thick = rng.uniform(0.6, 3.5), int(rng.integers(1, 9))
    x, y = int(rng.uniform(-80, 150)), int(rng.uniform(60, 360))
    font = fonts[rng.integers(len(fonts))]
    outline = np.zeros_like(alpha)
    for line in range(int(rng.integers(1, 3))):
        text = "".join(rng.choice(letters, int(rng.integers(4, 16))))
        at = (x, y + int(line * 34 * size))
        cv2.putText(alpha, text, at, font, size, 255, thick)
        cv2.putText(outline, text, at, font, size, 255, thick + 4)
    strength = np.float32(rng.uniform(0.35, 0.8) if rng.random() < 0.3 else 1)

    def shrunk(mask: NDArrayBytes) -> Floats:
        return cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255

    ink = rng.random(3) if rng.random() < 0.5 else np.full(3, float(rng.random() < 0.7))
    if rng.random() < 0.4:
        scene.cover(shrunk(outline) * strength, flat(1 - ink))
    scene.cover(shrunk(alpha) * strength, flat(ink))


NDArrayBytes = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def bars(scene: Scene) -> None:
    """The black border of a picture, or another one beside it."""
    rng = scene.rng
    alpha = np.zeros_like(scene.seen)
    for _ in range(int(rng.integers(1, 3))):
        side, depth = int(rng.integers(4)), int(rng.uniform(0.12, 0.5) * SIDE)
        band = np.rot90(alpha, side)
        band[:depth] = 1
    colours = (
        flat(np.full(3, rng.choice([0.0, 0.0, 1.0, 0.5]))) if rng.random() < 0.6 else pattern(scene)
    )
    scene.cover(alpha, colours)
