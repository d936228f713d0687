"""A document of tables, lists and scalars as TOML text; comments are not part of a document."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time


def toml_text(document: Mapping[str, object], prefix: str = "") -> str:
    """Write a document, as `tomllib` reads one, so that it is read back as the same document."""
    lines = [f"{_quoted(k)} = {_value(v)}" for k, v in document.items() if not isinstance(v, dict)]
    for name, table in document.items():
        if isinstance(table, dict):
            path = f"{prefix}.{_quoted(name)}" if prefix else _quoted(name)
            lines += ["", f"[{path}]", toml_text(table, path)]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _quoted(value)
        case datetime():
            return value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()
        case date() | time():
            return value.isoformat()
        case list():
            return f"[{', '.join(_value(item) for item in value)}]"
        case dict():
            pairs = (f"{_quoted(key)} = {_value(item)}" for key, item in value.items())
            return f"{{ {', '.join(pairs)} }}"
        case _:
            return repr(value)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'
