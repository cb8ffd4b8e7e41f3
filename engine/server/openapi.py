"""The OpenAPI 3.1 document of the server, built from the JSON schema of the parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from engine.version import VERSION

_SCHEMAS: Final = "#/components/schemas/"
_STATES: Final = ["QUEUED", "PROCESSING", "COMPLETED", "FAILED"]
_STRING: Final = {"type": "string"}
_URL: Final = {"type": "string", "format": "uri"}

_REFUSALS: Final = {
    400: "A parameter is unknown, missing, of the wrong type or out of range; all problems at once",
    401: "The key is missing or wrong",
    403: "The Host, the Origin or a path is not allowed",
    404: "There is no such model, request or path",
    408: "The body did not arrive in time",
    413: "The body, a picture, a video or an output in base64 is larger than the server allows",
    415: "The body is not application/json",
    416: "The range is not within the output",
    422: "The request failed",
    429: "Too many requests wait; Retry-After says when to try again",
    500: "The server failed",
    503: "The server is shutting down",
    504: "The output was not ready in time; the request continues",
}
_FOR_ALL: Final = (403, 500, 503)
_FOR_CALLS: Final = (400, 401, 404, 408, 413, 415, 429)


def openapi_document(parameters: Mapping[str, Any], slug: str) -> dict[str, Any]:
    """Build the document.

    Args:
        parameters: JSON schema of a request's body.
        slug: name of the model.
    """
    definitions = parameters.get("$defs", {})
    body = {key: value for key, value in parameters.items() if key != "$defs"}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "faceswap-engine",
            "version": VERSION,
            "description": "The hosted face-swap API, served by this machine.",
        },
        "paths": {
            f"/v1/{slug}": {"post": _blocking()},
            f"/v2/{slug}": {"post": _submitting()},
            "/v2/requests/{request_id}/status": {"get": _reading("The status of a request")},
            "/v2/requests/{request_id}": {"get": _reading("The result of a request", 413)},
            "/outputs/{request_id}/{name}": {"get": _downloading()},
            "/healthz": {"get": _healthy()},
            "/openapi.json": {
                "get": _open("This document", {"200": _json("OpenAPI 3.1", {"type": "object"})})
            },
        },
        "components": {
            "schemas": {**definitions, "Parameters": body, **_bodies()},
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
        },
        "security": [{"key": []}, {}],
    }


def _bodies() -> dict[str, Any]:
    submitted = {"request_id": _STRING, "status_url": _URL, "response_url": _URL}
    return {
        "Error": {
            "type": "object",
            "properties": {"error": _STRING, "request_id": _STRING, "status_url": _URL},
            "required": ["error"],
        },
        "Submitted": {
            "type": "object",
            "properties": {**submitted, "status": {"enum": _STATES}},
            "required": [*submitted],
        },
        "Request": {
            "type": "object",
            "properties": {
                **submitted,
                "status": {"enum": _STATES},
                "output": {"type": ["string", "null"]},
                "progress": {
                    "type": "object",
                    "properties": {
                        "done": {"type": "integer"},
                        "total": {"type": ["integer", "null"]},
                    },
                },
                "metrics": {"type": "object"},
                "error": {"type": ["string", "null"]},
            },
            "required": ["request_id", "status"],
        },
    }


def _submitting() -> dict[str, Any]:
    return _call(
        "Submit a swap",
        {"200": _json("The request is queued", {"$ref": f"{_SCHEMAS}Submitted"})},
        _FOR_CALLS,
    )


def _blocking() -> dict[str, Any]:
    response = {
        "description": "The output's bytes, or JSON where base64 is true",
        "content": {
            "application/json": {"schema": {"$ref": f"{_SCHEMAS}Request"}},
            "video/*": {"schema": {}},
            "image/*": {"schema": {}},
        },
    }
    failed = {"422": _json(_REFUSALS[422], {"$ref": f"{_SCHEMAS}Request"})}
    return _call("Swap, and wait for the output", {"200": response, **failed}, (*_FOR_CALLS, 504))


def _call(summary: str, responses: dict[str, Any], codes: Iterable[int]) -> dict[str, Any]:
    return {
        "summary": summary,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"{_SCHEMAS}Parameters"}}},
        },
        "responses": {**responses, **_refusals(codes)},
    }


def _reading(summary: str, *codes: int) -> dict[str, Any]:
    schema = {"$ref": f"{_SCHEMAS}Request"}
    return {
        "summary": summary,
        "parameters": [_in_path("request_id")],
        "responses": {
            "200": _json("The request", schema),
            "422": _json(_REFUSALS[422], schema),
            **_refusals((401, 404, *codes)),
        },
    }


def _downloading() -> dict[str, Any]:
    media: dict[str, Any] = {"video/*": {"schema": {}}, "image/*": {"schema": {}}}
    return _open(
        "The output of a request, whole or a range of it",
        {
            "200": {"description": "The file", "content": media},
            "206": {
                "description": "The range",
                "content": {**media, "multipart/byteranges": {"schema": {}}},
            },
            **_refusals((404,)),
            "400": {"description": "The Range is malformed"},
            "416": {"description": _REFUSALS[416]},
        },
        [_in_path("request_id"), _in_path("name")],
    )


def _healthy() -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"status": _STRING, "version": _STRING},
        "required": ["status", "version"],
    }
    return _open("The health of the server", {"200": _json("The server works", schema)})


def _open(
    summary: str, responses: dict[str, Any], parameters: Iterable[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Describe an operation that needs no key."""
    return {
        "summary": summary,
        "security": [],
        "parameters": [*parameters],
        "responses": {**responses, **_refusals(())},
    }


def _refusals(codes: Iterable[int]) -> dict[str, Any]:
    schema = {"$ref": f"{_SCHEMAS}Error"}
    return {str(code): _json(_REFUSALS[code], schema) for code in sorted({*codes, *_FOR_ALL})}


def _json(description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": _STRING}
