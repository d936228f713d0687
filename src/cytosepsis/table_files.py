"""Tables as files: Parquet, and CSV that is safe in a spreadsheet; whole or not at all."""
# ruff: noqa: PLC0415 - polars takes a quarter second: imported where a table is touched

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from cytosepsis.errors import StoreError

if TYPE_CHECKING:
    import polars as pl

    # A table at once, or the parts of one that is too large for that, in their order.
    Frames = pl.DataFrame | Callable[[], Iterator[pl.DataFrame]]

Write = Callable[[IO[bytes]], object]

SUFFIXES = (".parquet", ".csv")
_ROWS_TOGETHER = 2000  # of a table in parts: what a reader who streams it holds at a time
TEMPORARY = ".writing-"  # begins the name of what is not yet whole

# A spreadsheet takes such text for a formula; plain numbers written as text are harmless.
_FORMULA = r"^[=+\-@\t\r]"
_NUMBER = r"^[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?$"


def table_bytes(table: pl.DataFrame, suffix: str) -> bytes:
    """A table as it stands in the results folder, with the ending .csv or .parquet."""
    file = io.BytesIO()
    write_frame(table, suffix, file)
    return file.getvalue()


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write one table as Parquet or CSV, as the ending says, whole or not at all."""
    try:
        write_whole(path, partial(write_frame, table, path.suffix.lower()))
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror or error}).") from error


def write_parts(parts: Iterator[pl.DataFrame], folder: Path, name: str) -> None:
    """Write one table from parts that are never all in memory, as Parquet and CSV, whole or not.

    The files are a function of the parts: those of a single part are what `write_frame` writes.
    """
    import polars as pl

    with ExitStack() as stack:
        pieces = []
        lines = stack.enter_context(_whole(folder / f"{name}.csv"))
        for number, part in enumerate(parts):
            piece = folder / f"{TEMPORARY}{name}.{number}.parquet"
            stack.callback(piece.unlink, missing_ok=True)
            pieces.append(piece)
            with piece.open("wb") as file:
                write_frame(part, ".parquet", file)
            lines.write(csv_text(part, header=number == 0).encode())
        with _whole(folder / f"{name}.parquet") as file:
            if len(pieces) == 1:
                with pieces[0].open("rb") as piece_file:
                    shutil.copyfileobj(piece_file, file)
            else:
                pl.scan_parquet(pieces).sink_parquet(file, row_group_size=_ROWS_TOGETHER)


def csv_text(table: pl.DataFrame, *, header: bool = True) -> str:
    """A table as CSV: nulls and NaN empty, text that a spreadsheet takes for a formula quoted."""
    text: str = table.with_columns(_without_nan(), _defused()).write_csv(include_header=header)
    return text


def write_frame(table: pl.DataFrame, suffix: str, file: IO[bytes]) -> None:
    """Write a table in the format of an ending: .csv, else Parquet."""
    if suffix == ".csv":
        file.write(csv_text(table).encode())
    else:
        table.with_columns(_without_nan()).write_parquet(file)


def _without_nan() -> pl.Expr:
    import polars.selectors as cs

    return cs.float().fill_nan(None)


def _defused() -> pl.Expr:
    import polars as pl
    import polars.selectors as cs

    text = cs.string().as_expr()
    risky = text.str.contains(_FORMULA) & ~text.str.contains(_NUMBER)
    return pl.when(risky).then("'" + text).otherwise(text).name.keep()


def write_whole(path: Path, write: Write) -> None:
    """Write beside the place, synchronise, rename: a reader sees the old file or the new one."""
    write_all(path.parent, {path.name: write})


def write_all(folder: Path, files: Mapping[str, Write]) -> None:
    """Write several files of a folder, each whole or not at all.

    All are on the disk before the first takes its place, so that they change together as nearly
    as a file system allows, and the folder is synchronised once.
    """
    waiting = {name: folder / f"{TEMPORARY}{name}" for name in files}
    try:
        for name, write in files.items():
            with waiting[name].open("wb") as file:
                write(file)
        for temporary in waiting.values():
            with temporary.open("r+b") as file:
                os.fsync(file.fileno())
        for name, temporary in waiting.items():
            temporary.replace(folder / name)
    except BaseException:
        for temporary in waiting.values():
            temporary.unlink(missing_ok=True)
        raise
    _synchronise_folder(folder)


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its place when everything is in it."""
    temporary = path.with_name(f"{TEMPORARY}{path.name}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _synchronise_folder(path.parent)


def _synchronise_folder(folder: Path) -> None:
    """Make a rename durable; Windows has no such thing and needs none."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
