"""Options of the command, derived from the model of the parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar, cast

import typer

from engine.parameters import (
    SwapKeywords,
    SwapParameters,
    allowed,
    help_text,
    metavar,
    panel,
    parse,
)

CommandT = TypeVar("CommandT", bound=Callable[..., object])

Model = type[SwapParameters]


def with_parameters(
    names: Iterable[str] = tuple(SwapParameters.model_fields), model: Model = SwapParameters
) -> Callable[[CommandT], CommandT]:
    """Decorate a command: give it an option for each named field, in place of its `**options`."""

    def decorate(command: CommandT) -> CommandT:
        signature = inspect.signature(command, eval_str=True)
        own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        derived = [_option(name, model) for name in names]
        command.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*own, *derived]
        )
        return command

    return decorate


def keywords(context: typer.Context, options: dict[str, Any]) -> SwapKeywords:
    """Return the values of the options that the command line names, for `engine.swap`.

    Raises:
        ParameterError: An option has the wrong type or is out of range; every problem is named.
    """
    sources = {name: context.get_parameter_source(name) for name in options}
    named = [name for name, source in sources.items() if source and source.name != "DEFAULT"]
    parsed = parse({name: options[name] for name in named}, from_text=True)
    return cast(SwapKeywords, parsed.model_dump(exclude_unset=True))


def shortest(value: Any) -> Any:
    """Return a default as the help prints it: a float that is a whole number becomes an int."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _option(name: str, model: Model) -> inspect.Parameter:
    """Return the option of a field; values are strings, which `keywords` parses all together."""
    field = model.model_fields[name]
    flag = f"--{name.replace('_', '-')}"
    kind: Any
    if field.annotation is bool:
        # What is off by default has no --no-... form.
        declared = [] if field.default else [flag]
        kind, default, shown = bool, field.default, None
    elif isinstance(field.default, tuple):
        declared, kind, default, shown = [flag], list[str] | None, None, metavar(name, model)
    else:
        declared, kind, shown = [flag], str | None, metavar(name, model)
        none = "none" if "none" in allowed(name, model).split(", ") else None
        given = field.default
        default = none if given is None else f"{shortest(given)}"
    repeated = " May be repeated." if shown == "FILE" else ""
    option = typer.Option(
        *declared,
        help=help_text(name, model) + repeated,
        metavar=shown,
        rich_help_panel=panel(field),
        show_default=default is not None,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
    )
