from __future__ import annotations

import json
import tomllib
from dataclasses import fields

import write_schema
from write_schema import (
    CAST_SCHEMA,
    PLAN_SCHEMA,
    SCHEMA,
    TABLE,
    cast_schema,
    page,
    plan_schema,
    schema,
)

from engine.parameters import HOSTED, SwapCall
from engine.pipeline.records import FrameRecord


def test_the_published_schema_is_that_of_the_model() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema(), "run scripts/write_schema.py"


def test_the_published_schemas_of_casts_and_plans_are_those_of_the_models() -> None:
    assert CAST_SCHEMA.read_text(encoding="utf-8") == cast_schema(), "run scripts/write_schema.py"
    assert PLAN_SCHEMA.read_text(encoding="utf-8") == plan_schema(), "run scripts/write_schema.py"


def test_the_published_table_is_that_of_the_model() -> None:
    assert TABLE.read_text(encoding="utf-8") == page(), "run scripts/write_schema.py"


def test_the_published_schema_of_a_trace_is_that_of_its_records() -> None:
    published = write_schema.TRACE_SCHEMA.read_text(encoding="utf-8")
    assert published == write_schema.trace_schema(), "run scripts/write_schema.py"
    assert json.loads(published)["properties"].keys() == {
        field.name for field in fields(FrameRecord)
    }


def test_it_tells_hosted_parameters_from_our_own() -> None:
    properties = json.loads(schema())["properties"]
    assert properties.keys() == SwapCall.model_fields.keys()
    origins = {name: described["x-origin"] for name, described in properties.items()}
    assert {name for name, origin in origins.items() if origin == "hosted"} == HOSTED
    assert set(origins.values()) == {"hosted", "engine"}


def test_every_parameter_is_described() -> None:
    described = json.loads(schema())
    assert all(one["description"].endswith(".") for one in described["properties"].values())
    assert described["required"] == ["source_image", "target"]
    assert described["additionalProperties"] is False


def test_the_architecture_shows_the_rooms_as_they_are() -> None:
    page = write_schema.ARCHITECTURE.read_text("utf-8")
    assert write_schema.architecture(page) == page, "run scripts/write_schema.py"
    for room in tomllib.loads(write_schema.ROOMS.read_text("utf-8")):
        assert f"| `{room}` |" in page
