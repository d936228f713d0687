"""What the commands share with the terminal: exit statuses, messages, JSON, safe text."""
# ruff: noqa: PLC0415 - --help is fast: rich is imported where a table is drawn

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import typer
from typer.core import TyperGroup

from cytosepsis.errors import CytosepsisError, StudyError

EXIT_FILES_FAILED = 1
EXIT_REFUSED = 2
EXIT_UNFORESEEN = 3
EXIT_INTERRUPTED = 130  # 128 + SIGINT
EXIT_TERMINATED = 143  # 128 + SIGTERM

Format = Literal["table", "json"]
TableFormat = Literal["table", "csv", "json"]

# Met after computing began: not "nothing computed".
_DURING_THE_RUN = {"results_write", "scheduler_lost", "workers"}


class Terminated(KeyboardInterrupt):
    """SIGTERM came: stop as for Ctrl-C, with the other exit status."""


class Commands(TyperGroup):
    """Commands listed with their whole first sentence, over several lines where it is long."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands."""
        named = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [(name, c.get_short_help_str(limit=1000)) for name, c in named if c is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@contextmanager
def command(*, resumable: bool = False) -> Iterator[None]:
    """Turn our errors and signals into messages and exit statuses."""
    kept = " What was computed is kept; the same command continues." if resumable else ""
    try:
        yield
    except StudyError as error:
        n = len(error.problems)
        say(f"The study was refused: {n} {'problem' if n == 1 else 'problems'}.")
        for problem in error.problems:
            say(f"  {problem}")
        raise typer.Exit(EXIT_REFUSED) from None
    except CytosepsisError as error:
        say(f"Error: {error}")
        status = EXIT_UNFORESEEN if error.code in _DURING_THE_RUN else EXIT_REFUSED
        raise typer.Exit(status) from None
    except Terminated:
        say(f"Terminated.{kept}")
        raise typer.Exit(EXIT_TERMINATED) from None
    except KeyboardInterrupt:
        say(f"Interrupted.{kept}")
        raise typer.Exit(EXIT_INTERRUPTED) from None


def say(text: str) -> None:
    """Write a message for the person, on stderr."""
    typer.echo(safe(text), err=True)


def roles_of(pairs: Iterable[str]) -> dict[str, str]:
    """Read what `--channel ROLE=NAME` was given."""
    roles: dict[str, str] = {}
    for pair in pairs:
        role, equals, name = pair.partition("=")
        if not (role and equals and name):
            raise CytosepsisError(f"--channel {pair!r}: ROLE=NAME is meant, e.g. cd14=APC-A.")
        if role in roles:
            raise CytosepsisError(f"--channel: role {role!r} is given twice.")
        roles[role] = name
    return roles


def safe(text: object) -> str:
    """Text without what could steer a terminal: names in files are anybody's."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in str(text))


def write_json(document: object) -> None:
    """Write the one JSON document of a command on stdout.

    NaN and infinities become null, dates ISO text.
    """
    sys.stdout.write(json.dumps(_plain(document), indent=2, ensure_ascii=False) + "\n")


def show_table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a titled table for people on stdout; columns of numbers are right-aligned."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    typer.echo(safe(title))
    kept = [list(row) for row in rows]
    table = Table(box=None, pad_edge=False)
    for index, name in enumerate(header):
        values = [row[index] for row in kept if row[index] is not None]
        numeric = bool(values) and all(isinstance(value, int | float) for value in values)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in kept:
        table.add_row(*(Text(_cell(value)) for value in row))
    # Into a file or a pipe, lines stay whole.
    width = None if sys.stdout.isatty() else 10_000
    Console(file=sys.stdout, highlight=False, width=width).print(table, crop=False)


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
        case _:
            return safe(value)


def _plain(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case None | bool() | int() | str():
            return value
        case _:
            return str(value)
