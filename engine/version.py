"""The version of the engine, equal to that in `pyproject.toml`."""

VERSION = "0.1.0"
