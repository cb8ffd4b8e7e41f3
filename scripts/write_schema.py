"""Writes the JSON schema of a call to docs/parameters.schema.json."""

from __future__ import annotations

import json
from pathlib import Path

from engine.parameters import SwapCall

FILE = Path(__file__).parents[1] / "docs" / "parameters.schema.json"


def schema() -> str:
    """The schema of `SwapCall` as the file has it."""
    described = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **SwapCall.model_json_schema(),
        "title": "A call of ai-face-swap",
    }
    return json.dumps(described, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(schema(), encoding="utf-8")
