"""The OpenAPI document agrees with the server: generated requests get the described responses."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks

from engine.hosted.service import SLUG
from engine.parameters import HOSTED, SwapCall
from engine.server.build import call_schema
from engine.server.openapi import openapi_document
from tests.server.conftest import Address, Media

QUICK = settings(
    max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
# A schema cannot require that a string holds a picture, that 2.0 is refused, or that end > start.
BEYOND_THE_SCHEMA: list[Any] = [checks.positive_data_acceptance]
SCHEMA = schemathesis.openapi.from_dict(openapi_document(call_schema(), SLUG))
OPERATIONS = {
    found.ok().label: found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)
}
CALLS = [label for label in OPERATIONS if label.startswith("POST")]


@pytest.mark.parametrize(
    ("label", "mode"),
    [
        *((label, GenerationMode.POSITIVE) for label in OPERATIONS),
        *((label, GenerationMode.NEGATIVE) for label in CALLS),
    ],
)
@QUICK
@given(data=st.data())
def test_any_call_is_answered_as_the_document_says(
    served: Address, label: str, mode: GenerationMode, data: st.DataObject
) -> None:
    case = data.draw(OPERATIONS[label].as_strategy(generation_mode=mode))
    case.call_and_validate(base_url=served.url, excluded_checks=BEYOND_THE_SCHEMA)


@pytest.mark.parametrize("label", CALLS)
@QUICK
@given(data=st.data())
def test_any_call_with_real_files_is_answered_too(
    served: Address, media: Media, label: str, data: st.DataObject
) -> None:
    case = data.draw(OPERATIONS[label].as_strategy())
    assert isinstance(case.body, dict)
    case.body = {**case.body, **media.call, "reference_image": []}
    case.call_and_validate(base_url=served.url, excluded_checks=BEYOND_THE_SCHEMA)


def test_every_parameter_is_there_and_comes_from_the_model() -> None:
    parameters = openapi_document(call_schema(), SLUG)["components"]["schemas"]["Parameters"]
    assert set(parameters["properties"]) == set(SwapCall.model_fields)
    assert parameters["required"] == ["source_image", "target"]
    for name, field in SwapCall.model_fields.items():
        assert parameters["properties"][name]["description"] == field.description
        assert parameters["properties"][name]["x-origin"] == (
            "hosted" if name in HOSTED else "engine"
        )
