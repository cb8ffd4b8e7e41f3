"""The version of this engine, as in `pyproject.toml`."""

VERSION = "0.1.0"
