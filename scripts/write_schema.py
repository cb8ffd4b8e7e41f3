"""Write the pages that are derived: parameters from their model, rooms from docs/rooms.toml.

Run it as `.venv/bin/python scripts/write_schema.py`.
"""

from __future__ import annotations

import inspect
import json
import re
import tomllib
from pathlib import Path

from pydantic import BaseModel, TypeAdapter

from engine.parameters import SwapCall, SwapParameters, table
from engine.pipeline.records import FaceRecord, FrameRecord, SwapRecord
from engine.pipeline.stages import Coverage
from engine.plan.cast import Cast
from engine.plan.film_plan import Plan

DOCS = Path(__file__).parents[1] / "docs"
SCHEMA = DOCS / "parameters.schema.json"
CAST_SCHEMA = DOCS / "cast.schema.json"
PLAN_SCHEMA = DOCS / "plan.schema.json"
TABLE = DOCS / "parameters.md"
TRACE_SCHEMA = DOCS / "trace.schema.json"
ROOMS = DOCS / "rooms.toml"
ARCHITECTURE = DOCS / "architecture.md"

_LEAD = """# Parameters

Each is a keyword in Python (`engine.swap(..., pixel_boost="512x512")`), a property in the hosted
API, and an option of the command with dashes for underscores (`--pixel-boost 512x512`). In Python
and on the command line, one side such as `512` is short for the square. On the command line, an
option that takes a list is repeated. No default means that the parameter is left out.

In the mode `reference`, order, filters and position choose the reference face. After that, every
face within `reference_face_distance` of it is swapped, in every frame.

"""


def schema(model: type[BaseModel] = SwapCall, title: str = "A call of ai-face-swap") -> str:
    """Return the JSON schema of a call, or of another model."""
    described = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **model.model_json_schema(),
        "title": title,
    }
    return json.dumps(described, indent=2) + "\n"


def trace_schema() -> str:
    """Return the JSON schema of a line of a trace."""
    made = TypeAdapter(FrameRecord).json_schema(mode="serialization")
    # Versions of pydantic differ in which docstrings they take.
    records = {kind.__name__: kind for kind in (FaceRecord, SwapRecord, Coverage)}
    for name, definition in made["$defs"].items():
        rest = {key: value for key, value in definition.items() if key != "description"}
        made["$defs"][name] = {"description": inspect.getdoc(records[name]), **rest}
    described = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **{key: value for key, value in made.items() if key != "description"},
        "description": inspect.getdoc(FrameRecord),
        "title": "A line of a trace",
    }
    return json.dumps(described, indent=2) + "\n"


def cast_schema() -> str:
    """Return the JSON schema of a cast file."""
    return schema(Cast, "A cast of faceswap-engine")


def plan_schema() -> str:
    """Return the JSON schema of a plan."""
    return schema(Plan, "A plan of faceswap-engine")


def page(model: type[SwapParameters] = SwapParameters) -> str:
    """Return the page that documents the parameters, in Markdown."""
    return _LEAD + table(model)


def architecture(text: str) -> str:
    """Return the page of the architecture with its table of rooms made from docs/rooms.toml."""
    rooms = tomllib.loads(ROOMS.read_text("utf-8"))
    lines = ["| row | room | purpose | third party |", "| --- | --- | --- | --- |"]
    for name, room in rooms.items():
        packages = ", ".join(room.get("third_party", ()))
        lines.append(f"| {room['row']} | `{name}` | {room['purpose']} | {packages} |")
    made = "\n".join(lines)
    return re.sub(
        r"(<!-- rooms: .*? -->\n).*?(<!-- /rooms -->)",
        lambda marks: f"{marks[1]}{made}\n{marks[2]}",
        text,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    ARCHITECTURE.write_text(architecture(ARCHITECTURE.read_text("utf-8")), encoding="utf-8")
    SCHEMA.write_text(schema(), encoding="utf-8")
    CAST_SCHEMA.write_text(cast_schema(), encoding="utf-8")
    PLAN_SCHEMA.write_text(plan_schema(), encoding="utf-8")
    TABLE.write_text(page(), encoding="utf-8")
    TRACE_SCHEMA.write_text(trace_schema(), encoding="utf-8")
