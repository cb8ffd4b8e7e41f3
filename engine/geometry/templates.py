"""Templates: positions of the five points (eyes, nose tip, mouth corners) in networks' crops.

Coordinates are quoted as in their sources, in pixels or fractions, and stored as fractions of the
side.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.values import Template

_Pixels = tuple[tuple[float, float], ...]

# ArcFace's 112x112 alignment: InsightFace, python-package/insightface/utils/face_align.py.
_ARCFACE_112: _Pixels = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)

# Fractions: ArcFace's first alignment, used by ghost and simswap (FaceFusion, `face_helper.py`).
_ARCFACE_V1: _Pixels = (
    (0.35473214, 0.45658929),
    (0.64526786, 0.45658929),
    (0.5, 0.61154464),
    (0.37913393, 0.776875),
    (0.62086607, 0.776875),
)

# Fractions: MTCNN's alignment, used by hififace (FaceFusion, `face_helper.py`).
_MTCNN: _Pixels = (
    (0.36562865, 0.46733799),
    (0.63305391, 0.46585885),
    (0.50019127, 0.61942959),
    (0.39032951, 0.77598822),
    (0.61178945, 0.77476328),
)

# FFHQ's alignment at 512, used by face restorers (facexlib of GFPGAN,
# `face_restoration_helper.py`).
_FFHQ_512: _Pixels = (
    (192.98138, 239.94708),
    (318.90277, 240.1936),
    (256.63416, 314.01935),
    (201.26117, 371.41043),
    (313.08905, 371.15118),
)


def _template(name: str, pixels: _Pixels, side: float, shift_x: float = 0.0) -> Template:
    return Template(name, tuple(((x + shift_x) / side, y / side) for x, y in pixels))


ARCFACE_112_V2 = _template("arcface_112_v2", _ARCFACE_112, 112)

# The same points, 8 px further to the right in a 128 px crop, used by inswapper: InsightFace's
# `estimate_norm` for multiples of 128.
ARCFACE_128 = _template("arcface_128", _ARCFACE_112, 128, shift_x=8)

FFHQ_512 = _template("ffhq_512", _FFHQ_512, 512)

ARCFACE_112_V1 = _template("arcface_112_v1", _ARCFACE_V1, 1)

MTCNN_512 = _template("mtcnn_512", _MTCNN, 1)

TEMPLATES = (ARCFACE_112_V1, ARCFACE_112_V2, ARCFACE_128, FFHQ_512, MTCNN_512)


def template_named(name: str) -> Template:
    """Return the five-point template with this name.

    Raises:
        ValueError: there is none.
    """
    for template in TEMPLATES:
        if template.name == name:
            return template
    known = ", ".join(template.name for template in TEMPLATES)
    raise ValueError(f"There is no alignment template {name!r}; known are {known}.")


def in_pixels(template: Template, size: int) -> NDArray[np.float64]:
    """Return the template's points (n, 2) in pixels of a crop with the side `size`."""
    return np.array(template.points) * size
