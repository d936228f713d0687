"""Every command with its arguments and options, printed from the code: `docs/options.md`.

`python -m cytosepsis.cli.reference > docs/options.md` writes it again.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

_HEAD = """\
# Arguments and options

Printed from the code; [commands.md](commands.md) says what the commands do and write.
"""


def commands_markdown(app: typer.Typer) -> str:
    """The reference of every command of an application, in its order, as Markdown."""
    parts = [_HEAD]
    for info in app.registered_commands:
        assert info.callback is not None
        parts.append("\n".join(_command(info.name, info.callback)) + "\n")
    for group in app.registered_groups:
        assert group.typer_instance is not None
        for info in group.typer_instance.registered_commands:
            assert info.callback is not None
            name = f"{group.name} {info.name or info.callback.__name__}"
            parts.append("\n".join(_command(name, info.callback)) + "\n")
    return "\n".join(parts)


def _command(name: str | None, callback: Callable[..., Any]) -> Iterator[str]:
    name = name or callback.__name__.strip("_").replace("_", "-")
    parameters = list(_parameters(callback))
    arguments = " ".join(
        shown for shown, _, _, info in parameters if isinstance(info, ArgumentInfo)
    )
    yield f"## `cytosepsis {name}{' ' + arguments if arguments else ''}`"
    yield ""
    yield inspect.getdoc(callback) or ""
    if parameters:
        yield ""
        yield "| | default | |"
        yield "|---|---|---|"
        for shown, default, values, info in parameters:
            text = " ".join(part for part in (info.help or "", values) if part)
            yield f"| `{_cell(shown)}` | {_cell(default)} | {_cell(text)} |"


def _parameters(
    callback: Callable[..., Any],
) -> Iterator[tuple[str, str, str, ArgumentInfo | OptionInfo]]:
    """How each parameter is written, its default, its values where they are few, and its help."""
    hints = get_type_hints(callback, include_extras=True)
    for name, parameter in inspect.signature(callback).parameters.items():
        annotation, *notes = get_args(hints[name])
        (info,) = (note for note in notes if isinstance(note, ArgumentInfo | OptionInfo))
        kind, several = _kind(annotation)
        if isinstance(info, ArgumentInfo):
            shown = name.upper() + ("..." if several else "")
        else:
            # typer takes the first text of an annotated Option for its default
            declared = (info.default, *(info.param_decls or ()))
            flags = [text for text in declared if isinstance(text, str) and text.startswith("-")]
            flags = flags or [f"--{name.replace('_', '-')}"]
            shown = ", ".join(flags) if kind is bool else f"{', '.join(flags)} {name.upper()}"
        values = f"One of {', '.join(map(str, get_args(kind)))}." if _is_choice(kind) else ""
        yield shown, _default(parameter.default), values, info


def _kind(annotation: Any) -> tuple[Any, bool]:
    """The type behind `X | None` and `list[X]`, and whether it may be given several times."""
    if get_origin(annotation) in (Union, types.UnionType):
        (annotation,) = (arg for arg in get_args(annotation) if arg is not type(None))
    if get_origin(annotation) is list:
        return get_args(annotation)[0], True
    return annotation, False


def _is_choice(kind: Any) -> bool:
    return get_origin(kind) is Literal


def _default(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return "needed"
    if value is None or value is False:
        return ""
    return "on" if value is True else f"`{value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _write() -> None:
    from cytosepsis.cli import app  # noqa: PLC0415  (this module is part of it)

    sys.stdout.write(commands_markdown(app))


if __name__ == "__main__":
    _write()


__all__ = ["commands_markdown"]
