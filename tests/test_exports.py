from __future__ import annotations

import inspect
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

import pytest

import engine
from engine.parameters import help_text

ROOT = Path(__file__).parents[1]


def test_exports_are_sorted_and_there() -> None:
    assert sorted(engine.__all__) == engine.__all__
    assert len(set(engine.__all__)) == len(engine.__all__)
    assert sorted(name for names in engine._HOMES.values() for name in names) == engine.__all__
    for module, names in engine._HOMES.items():
        for name in names:
            assert getattr(engine, name) is getattr(import_module(module), name)
            assert name in dir(engine)


def engine_types(annotation: object) -> Iterator[type]:
    """Yield the engine's own classes within an annotation."""
    if isinstance(annotation, type) and annotation.__module__.startswith("engine."):
        yield annotation
    for part in get_args(annotation):
        yield from engine_types(part)
    for part in get_args(annotation)[:1] if get_origin(annotation) is Callable else ():
        for each in part:
            yield from engine_types(each)


def test_every_type_of_a_public_signature_is_exported_and_described() -> None:
    public = {getattr(engine, name) for name in engine.__all__}
    functions = [
        *(value for value in public if inspect.isfunction(value)),
        *(
            function
            for kind in (engine.Engine, engine.FoundFaces, engine.Swapper, engine.SegmindClient)
            for name, function in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_") or name == "__init__"
        ),
    ]
    hidden = {
        kind.__name__
        for function in functions
        for hint in get_type_hints(function, localns={"Engine": engine.Engine}).values()
        for kind in engine_types(hint)
        if kind not in public
    }
    assert hidden == set()
    for value in public:
        if isinstance(value, type) or inspect.isfunction(value):
            assert value.__doc__, value


def test_the_docstring_of_swap_tells_every_parameter() -> None:
    for function in (engine.swap, engine.Engine.swap, engine.Engine.faces):
        text = inspect.getdoc(function) or ""
        assert "{parameters}" not in text
        for name in engine.SwapParameters.model_fields:
            assert f"{name}: {help_text(name)}" in text


@pytest.mark.parametrize("function", [engine.swap, engine.swap_image])
def test_functions_describe_their_arguments_as_the_methods_do(
    function: Callable[..., object],
) -> None:
    text = inspect.getdoc(function) or ""
    assert text.count("Args:\n") == text.count("Returns:\n") == text.count("Raises:\n") == 1
    for name, parameter in inspect.signature(function).parameters.items():
        named = parameter.kind is not parameter.VAR_KEYWORD
        assert (f"\n    {name}: " in text) is named
    assert all(f"\n    {name}: " in text for name in engine.SwapParameters.model_fields)


def test_a_refusal_and_a_cancellation_are_no_errors_of_files() -> None:
    assert not issubclass(engine.ContentBlocked, OSError)
    assert not issubclass(engine.Cancelled, OSError)


@pytest.mark.parametrize(
    "first",
    [
        "pass",
        "from engine.api import Engine",
        "from engine.swappers.swapper import Swapper",
        "import engine.swappers.swapper",
        "engine.Engine; engine.swap",
    ],
)
def test_swap_is_the_function_whatever_is_imported_first(first: str) -> None:
    script = f"import engine; {first}; from engine import swap; print(engine.swap is swap, swap)"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert result.stdout.startswith("True <function swap")


def test_every_error_of_the_tree_is_the_engines() -> None:
    for name in engine.__all__:
        value = getattr(engine, name)
        if isinstance(value, type) and issubclass(value, Exception):
            assert issubclass(value, engine.EngineError)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Swopper'"):
        _ = engine.Swopper


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert engine.__version__ == project["version"]


@pytest.mark.parametrize("module", ["engine", "engine.cli"])
def test_nothing_heavy_is_imported_before_it_is_asked_for(module: str) -> None:
    script = (
        f"import sys, {module}\n"
        "heavy = {'av', 'cv2', 'onnxruntime', 'pydantic', 'rich.progress', 'engine.api'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert result.stdout.strip() == "[]"
