"""Tables as files: Parquet, and CSV that is safe in a spreadsheet; whole or not at all."""
# ruff: noqa: PLC0415 - polars takes a quarter second: imported where a table is touched

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from cytosepsis.errors import StoreError

if TYPE_CHECKING:
    import polars as pl

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


def write_tables(folder: Path, parts: Iterable[Mapping[str, pl.DataFrame]]) -> tuple[str, ...]:
    """Write tables as Parquet and CSV, all or none; their names in the order they first came.

    Each part maps names to frames; a name that comes again continues its table, so that a table
    need never be in memory as a whole. The files are a function of the parts: those of a single
    part are what `write_frame` writes.
    """
    tables: dict[str, _Growing] = {}
    with ExitStack() as stack:
        for part in parts:
            for name, frame in part.items():
                if name not in tables:
                    tables[name] = stack.enter_context(closing(_Growing(folder, name)))
                tables[name].add(frame)
        waiting = [file for table in tables.values() for file in table.finish()]
        _take_places(folder, waiting)
    return tuple(tables)


class _Growing:
    """A table in the making: temporary files beside the place it will take."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._pieces: list[Path] = []
        self._text = self._temporary("csv").open("wb")

    def add(self, frame: pl.DataFrame) -> None:
        """Write further rows."""
        plain = frame.with_columns(_without_nan())
        self._text.write(_csv(plain, header=not self._pieces).encode())
        self._pieces.append(self._temporary(f"{len(self._pieces)}.parquet"))
        with self._pieces[-1].open("wb") as file:
            plain.write_parquet(file)

    def finish(self) -> tuple[Path, Path]:
        """The whole table, in two files that are not yet in their place."""
        import polars as pl

        self._text.close()
        whole = self._temporary("parquet")
        if len(self._pieces) == 1:
            self._pieces[0].replace(whole)
        else:
            with whole.open("wb") as file:
                pl.scan_parquet(self._pieces).sink_parquet(file, row_group_size=_ROWS_TOGETHER)
        return whole, self._temporary("csv")

    def close(self) -> None:
        """Remove what is left; what took its place has no temporary name any more."""
        with suppress(OSError):  # on a full disk the rest of the text cannot be written either
            self._text.close()
        for path in (*self._pieces, self._temporary("csv"), self._temporary("parquet")):
            path.unlink(missing_ok=True)

    def _temporary(self, ending: str) -> Path:
        return self._folder / f"{TEMPORARY}{self._name}.{ending}"


def csv_text(table: pl.DataFrame) -> str:
    """A table as CSV: nulls and NaN empty, text that a spreadsheet takes for a formula quoted."""
    return _csv(table.with_columns(_without_nan()))


def write_frame(table: pl.DataFrame, suffix: str, file: IO[bytes]) -> None:
    """Write a table in the format of an ending: .csv, else Parquet."""
    if suffix == ".csv":
        file.write(csv_text(table).encode())
    else:
        table.with_columns(_without_nan()).write_parquet(file)


def _csv(plain: pl.DataFrame, *, header: bool = True) -> str:
    text: str = plain.with_columns(_defused()).write_csv(include_header=header)
    return text


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
    waiting = [folder / f"{TEMPORARY}{name}" for name in files]
    try:
        for temporary, write in zip(waiting, files.values(), strict=True):
            with temporary.open("wb") as file:
                write(file)
        _take_places(folder, waiting)
    except BaseException:
        for temporary in waiting:
            temporary.unlink(missing_ok=True)
        raise


def _take_places(folder: Path, waiting: Iterable[Path]) -> None:
    """Synchronise what was written under temporary names, then rename it, then the folder."""
    files = list(waiting)
    for temporary in files:
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
    for temporary in files:
        temporary.replace(folder / temporary.name.removeprefix(TEMPORARY))
    _synchronise_folder(folder)


def _synchronise_folder(folder: Path) -> None:
    """Make a rename durable; Windows has no such thing and needs none."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
