"""FCS files: checked metadata and the events, block by block. The only door to FlowKit's reader.

FlowKit's parser (`FlowData`, on which `flowkit.Sample` is built) is a witness: that it refuses
HEADER or TEXT is noted. DATA is read here, in blocks into a reused buffer: uniform floats and
integers of 8, 16 and 32 bits as they lie, anything else decoded block by block. Blocks, not a map:
a mapped file that shrinks kills the process.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cytosepsis.errors import FcsError
from cytosepsis.fcs_decode import decode_rows, free_text_rows
from cytosepsis.fcs_layout import (
    Layout,
    Note,
    Parameter,
    check_mode,
    integer_of,
    layouts_of,
    parameters_of,
    time_step_of,
)
from cytosepsis.fcs_place import Truncated, locate
from cytosepsis.fcs_sets import DataSet, choose
from cytosepsis.fcs_time import acquisition_time

BLOCK_BYTES = 4 * 2**20  # per read: large enough to be fast, small enough to stay in cache
WITNESSED_TEXT = 4 * 2**20  # bytes of TEXT; FlowIO takes seconds and 6 times the memory beyond


@dataclass(frozen=True, slots=True)
class RawEvents:
    """One data set of an FCS file: its checked metadata, and its events on request.

    Nothing of the size of the file is held, but of events that were given in memory (`decoded`).
    """

    path: str
    version: str
    keywords: Mapping[str, str]  # upper case, `$` kept, values as in the file
    parameters: tuple[Parameter, ...]
    n_events: int
    layout: Layout
    notes: tuple[Note, ...] = ()
    time_step: float = 1.0  # seconds per unit of the time parameter ($TIMESTEP)
    decoded: NDArray[np.float64] | None = None  # (n_events, n_parameters), as stored
    dataset: int = 0  # which of the file's data sets
    n_data_sets: int = 1  # as far as was looked for: all where none was chosen
    # Where only a part of the stored events counts: their number, and the stretches that are kept,
    # each first event and the one after its last.
    n_stored: int | None = None
    stretches: tuple[tuple[int, int], ...] = ()
    # `$PnN` and `$PnS` ("" where absent) of every parameter: asked for at every turn.
    pnn: tuple[str, ...] = field(init=False, repr=False, compare=False)
    pns: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pnn", tuple(parameter.pnn for parameter in self.parameters))
        object.__setattr__(self, "pns", tuple(parameter.pns for parameter in self.parameters))

    @property
    def n_parameters(self) -> int:
        """Number of columns."""
        return len(self.parameters)

    @property
    def note_codes(self) -> tuple[str, ...]:
        """Codes of the notes, each once."""
        return tuple(dict.fromkeys(note.code for note in self.notes))

    @property
    def cytometer(self) -> str | None:
        """Type and serial number of the instrument, as far as the file names them."""
        words = (
            self.keywords.get("$CYT", "").strip(),
            (self.keywords.get("$CYTSN") or self.keywords.get("CYTNUM") or "").strip(),
        )
        return " ".join(word for word in words if word) or None

    @property
    def acquired_at(self) -> datetime | None:
        """Begin of the acquisition; None where the file does not say it in a known form."""
        return acquisition_time(self.keywords)

    def blocks(self, *, rows: int | None = None) -> Iterator[NDArray[Any]]:
        """Yield the stored events in blocks of rows, in file order.

        Each block is a (n, n_parameters) array that is valid until the next one is asked for: of
        `layout.dtype` with the file's byte order and integer masks not applied; without a dtype,
        float64 with masks applied. FcsError where the file has become shorter, or gone, since it
        was read.
        """
        if self.n_stored is not None:
            yield from self._kept_blocks(rows)
            return
        if self.decoded is not None:
            yield self.decoded
            return
        try:
            with Path(self.path).open("rb", buffering=0) as handle:
                yield from self._read_blocks(handle, rows)
        except OSError as error:
            raise FcsError(
                f"cannot be read any more: {error.strerror}", code="unreadable", file=self.path
            ) from error
        except FcsError as error:
            raise error.with_context(file=self.path) from error.__cause__

    def keep(self, stretches: Iterable[tuple[int, int]]) -> RawEvents:
        """The same file with only some stretches of its events.

        Each is (first event, the one after its last), from 0; in order, without overlap.
        """
        assert self.n_stored is None, "a part of a part has no place in the file"
        kept = tuple(stretches)
        borders = [0, *(border for stretch in kept for border in stretch), self.n_events]
        assert borders == sorted(borders), f"stretches out of order or of the file: {kept}"
        n_events = sum(stop - first for first, stop in kept)
        if self.decoded is not None:
            parts = [self.decoded[first:stop] for first, stop in kept] or [self.decoded[:0]]
            return replace(self, n_events=n_events, decoded=np.concatenate(parts))
        return replace(self, n_events=n_events, n_stored=self.n_events, stretches=kept)

    def _kept_blocks(self, rows: int | None) -> Iterator[NDArray[Any]]:
        assert self.n_stored is not None
        whole = replace(self, n_events=self.n_stored, n_stored=None, stretches=())
        begin = 0
        for block in whole.blocks(rows=rows):
            end = begin + len(block)
            for first, stop in self.stretches:
                if first < end and stop > begin:
                    yield block[max(first - begin, 0) : stop - begin]
            begin = end

    def _read_blocks(self, handle: BinaryIO, rows: int | None) -> Iterator[NDArray[Any]]:
        layout = self.layout
        row_size = layout.row_bytes if layout.dtype is not None else 8 * self.n_parameters
        per_block = max(1, min(rows or BLOCK_BYTES // max(row_size, 1), self.n_events))
        handle.seek(layout.first_byte)
        if layout.dtype is not None:
            buffer = np.empty((per_block, self.n_parameters), dtype=layout.dtype)
            for first in range(0, self.n_events, per_block):
                block = buffer[: min(per_block, self.n_events - first)]
                _read_fully(handle, block)
                yield block
        elif layout.row_bits == 0:
            yield from free_text_rows(handle, layout, self.n_events, per_block)
        else:
            yield from self._decoded_blocks(handle, per_block)

    def _decoded_blocks(self, handle: BinaryIO, per_block: int) -> Iterator[NDArray[np.float64]]:
        if self.layout.row_bits % 8:
            per_block = -(-per_block // 8) * 8  # eight rows end at a whole byte
        raw = np.empty(self.layout.bytes_of(per_block), dtype=np.uint8)
        buffer = np.empty((per_block, self.n_parameters))
        for first in range(0, self.n_events, per_block):
            block = buffer[: min(per_block, self.n_events - first)]
            stored = raw[: self.layout.bytes_of(len(block))]
            _read_fully(handle, stored)
            decode_rows(stored, self.layout, block)
            yield block

    def stored(self) -> NDArray[np.float64]:
        """Numbers as stored, bit masks applied: float64 (n_events, n_parameters)."""
        out = np.empty((self.n_events, self.n_parameters))
        first = 0
        masked = bool(self.layout.masks) and self.decoded is None and self.layout.dtype is not None
        for block in self.blocks():
            rows = out[first : first + len(block)]
            if masked:
                assert self.layout.dtype is not None
                masks = np.array(self.layout.masks, dtype=self.layout.dtype.newbyteorder("="))
                rows[...] = block & masks
            else:
                rows[...] = block
            first += len(block)
        return out

    def linear(self) -> NDArray[np.float64]:
        """Values on linear scales: float64 (n_events, n_parameters).

        Log amplifiers are undone (FCS 3.1, 3.2.20), linear amplifiers' gains divided out, time
        multiplied by $TIMESTEP. Equals `flowkit.Sample(...).get_events("raw")` but for gains on
        log amplifiers and $PnE of float data, where FlowKit leaves the standard.
        """
        events = self.stored()
        linearize(events, self)
        return events


def linearize(events: NDArray[np.float64], raw: RawEvents) -> None:
    """Turn stored numbers (n, n_parameters) into linear ones, in place."""
    for index, parameter in enumerate(raw.parameters):
        if parameter.is_time and raw.time_step != 1.0:
            events[:, index] *= raw.time_step
        if parameter.decades > 0:
            exponent = parameter.decades * events[:, index] / parameter.range
            events[:, index] = (10**exponent) * parameter.log_offset
        elif parameter.applied_gain != 1.0:
            events[:, index] /= parameter.applied_gain


def _read_fully(handle: BinaryIO, block: NDArray[Any]) -> None:
    view = block.reshape(-1).view(np.uint8).data
    done = 0
    while done < len(view):
        got = handle.readinto(view[done:])  # type: ignore[attr-defined]
        if not got:
            raise FcsError(
                "the file became shorter while it was read; copy it again", code="truncated"
            )
        done += got


# ------------------------------------------------------------------------------------ reading


def read_keywords(path: str | Path, *, dataset: int | None = None) -> RawEvents:
    """Metadata of an FCS file, events untouched: like `read_fcs`, but DATA may be damaged.

    Offsets and counts of DATA are not checked, and of several data sets the first is taken where
    `read_fcs` would ask; for listings and checks.
    """
    return _open(path, dataset, None)


def read_fcs(
    path: str | Path, *, dataset: int | None = None, truncated: Truncated = "refuse"
) -> RawEvents:
    """Read and check one data set of an FCS file.

    Parameters
    ----------
    path
        The file.
    dataset
        Which of several data sets, from 0. None accepts files that hold one, and of Beckman's LMD
        files takes the one of high resolution, with a note.
    truncated
        What to do with a file that is shorter than it says: "refuse", or "allow" the whole rows
        that are there, with a note.

    Raises
    ------
    FcsError
        The file is missing, is no FCS file, contradicts itself, is shorter than it says, or holds
        several data sets and none was chosen. `code` says which (docs/fcs-support.md).

    """
    assert truncated in ("refuse", "allow"), f"truncated: refuse or allow, not {truncated!r}"
    return _open(path, dataset, truncated)


def _open(path: str | Path, dataset: int | None, truncated: Truncated | None) -> RawEvents:
    try:
        with Path(path).open("rb") as handle:
            return _read_data_set(handle, str(path), dataset, truncated)
    except FcsError as error:
        raise error.with_context(file=str(path), step="read") from error.__cause__
    except FileNotFoundError as error:
        raise FcsError("no such file", code="missing", file=str(path), step="read") from error
    except OSError as error:
        raise FcsError(
            f"cannot be read: {error.strerror}", code="unreadable", file=str(path), step="read"
        ) from error


def _read_data_set(
    handle: BinaryIO, path: str, dataset: int | None, truncated: Truncated | None
) -> RawEvents:
    """Read HEADER and TEXT, and find DATA; `truncated` None: DATA is not looked at."""
    notes: list[Note] = []
    number, count, found = choose(handle, dataset, notes, listing=truncated is None)
    keywords = found.text.keywords
    notes += [Note(*note) for note in found.text.notes]
    check_mode(keywords, notes)
    parameters = parameters_of(keywords, notes)
    layouts = layouts_of(keywords, parameters, notes)
    layout = layouts[0]
    if truncated is None:
        n_events = integer_of(keywords, "$TOT", default=0)
    else:
        size = handle.seek(0, os.SEEK_END) - found.offset
        extent = locate(
            found.header, keywords, layouts, size=size, notes=notes, truncated=truncated
        )
        n_events, layout = extent.n_events, extent.layout
        layout = replace(layout, first_byte=found.offset + layout.first_byte)
    time_step = time_step_of(keywords, notes)
    if truncated is not None:
        notes += _flowkits_word(handle, found)
    raw = RawEvents(
        path=path,
        version=found.header.version,
        keywords=MappingProxyType(keywords),
        parameters=parameters,
        n_events=n_events,
        layout=layout,
        notes=tuple(notes),
        time_step=time_step,
        dataset=number,
        n_data_sets=count,
    )
    if truncated is not None and layout.row_bits == 0:
        for _ in raw.blocks():  # numbers of free width can only be counted by reading them
            pass
    return raw


# --------------------------------------------------------------------------- FlowKit's word


def _flowkits_word(handle: BinaryIO, found: DataSet) -> list[Note]:
    """Have FlowKit's parser read HEADER and TEXT too; a note where it refuses them."""
    from flowio import FlowData  # noqa: PLC0415  (0.1 s; only where a file is read)

    begin, end = found.header.text
    if end - begin > WITNESSED_TEXT:
        return []
    handle.seek(0)
    try:
        # FlowKit gets our handle: it leaks its own on garbage. It closes it; ours is a duplicate.
        with os.fdopen(os.dup(handle.fileno()), "rb") as lent, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            FlowData(
                lent,
                ignore_offset_error=True,
                ignore_offset_discrepancy=True,
                only_text=True,
                nextdata_offset=found.offset,
            )
    except Exception as error:  # noqa: BLE001  a parser of others may raise anything
        text = f"FlowKit's parser refuses this file: {type(error).__name__}"
        return [Note("flowkit_refused", text)]
    return []
