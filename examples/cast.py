"""Give two people of a picture each other's face, in one pass."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

import engine

PEOPLE = Path(__file__).parent / "people"
OUTPUT = Path(sys.argv[1] if len(sys.argv) > 1 else "example-output")

OUTPUT.mkdir(exist_ok=True)
left, right = PEOPLE / "source.jpg", PEOPLE / "target.jpg"
pictures = [cv2.resize(cv2.imread(str(path)), (720, 720)) for path in (left, right)]
both = OUTPUT / "both.png"
cv2.imwrite(str(both), np.hstack(pictures))

report = engine.swap(
    None,
    both,
    OUTPUT / "cast.png",
    cast=[
        {"name": "left", "source": right, "frame": 1, "point": [360, 360]},
        {"name": "right", "source": left, "reference": right},
    ],
    overwrite=True,
)
for role in report.roles:
    print(f"{role.name}: {role.faces} face at a distance of {abs(role.smallest_distance):.2f}")
print(report.output)
