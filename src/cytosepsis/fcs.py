"""FCS files: checked metadata and the events, block by block. The only door to FlowKit's reader.

FlowKit's parser (`FlowData`, on which `flowkit.Sample` is built) has to accept HEADER and TEXT;
uniform float and integer DATA is then read in blocks into a reused buffer, anything else is decoded
by FlowKit as a whole. Blocks, not a map: a mapped file that shrinks kills the process.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cytosepsis.errors import FcsError
from cytosepsis.fcs_layout import (
    Layout,
    Note,
    Parameter,
    check_mode,
    first_byte_of,
    integer_of,
    layout_of,
    parameters_of,
    time_step_of,
)
from cytosepsis.fcs_text import read_header, read_text
from cytosepsis.fcs_time import acquisition_time

BLOCK_BYTES = 4 * 2**20  # per read: large enough to be fast, small enough to stay in cache


@dataclass(frozen=True, slots=True)
class RawEvents:
    """One data set of an FCS file: its checked metadata, and its events on request.

    Nothing of the size of the file is held, but where FlowKit had to decode it (`decoded`).
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

    @property
    def pnn(self) -> tuple[str, ...]:
        """`$PnN` of every parameter."""
        return tuple(parameter.pnn for parameter in self.parameters)

    @property
    def pns(self) -> tuple[str, ...]:
        """`$PnS` of every parameter, "" where absent."""
        return tuple(parameter.pns for parameter in self.parameters)

    @property
    def n_parameters(self) -> int:
        """Number of columns."""
        return len(self.parameters)

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

        Each block is a (n, n_parameters) array of `layout.dtype` (byte order as in the file) that
        is valid until the next one is asked for; a decoded file yields one float64 array. Integer
        masks are not applied. FcsError where the file has become shorter, or gone, since it was
        read.
        """
        if self.decoded is not None:
            yield self.decoded
            return
        assert self.layout.dtype is not None
        per_block = rows or max(1, BLOCK_BYTES // self.layout.row_bytes)
        per_block = min(per_block, max(1, self.n_events))
        buffer = np.empty((per_block, self.n_parameters), dtype=self.layout.dtype)
        try:
            with Path(self.path).open("rb", buffering=0) as handle:
                handle.seek(self.layout.first_byte)
                for first in range(0, self.n_events, per_block):
                    block = buffer[: min(per_block, self.n_events - first)]
                    _read_fully(handle, block, self.path)
                    yield block
        except OSError as error:
            raise FcsError(
                f"cannot be read any more: {error.strerror}", code="unreadable", file=self.path
            ) from error

    def stored(self) -> NDArray[np.float64]:
        """Numbers as stored, bit masks applied: float64 (n_events, n_parameters)."""
        out = np.empty((self.n_events, self.n_parameters))
        first = 0
        for block in self.blocks():
            rows = out[first : first + len(block)]
            if self.layout.masks and self.decoded is None:
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


def _read_fully(handle: Any, block: NDArray[Any], path: str) -> None:
    view = block.reshape(-1).view(np.uint8).data
    done = 0
    while done < len(view):
        got = handle.readinto(view[done:])
        if not got:
            raise FcsError(
                "the file became shorter while it was read; copy it again",
                code="truncated",
                file=path,
            )
        done += got


# ------------------------------------------------------------------------------------ reading


def read_keywords(path: str | Path, *, dataset: int | None = None) -> RawEvents:
    """Metadata of an FCS file, events untouched: like `read_fcs`, but DATA may be damaged.

    Offsets and counts of DATA are not checked and nothing is decoded; for listings and checks.
    """
    return _open(path, dataset, check_data=False)


def read_fcs(path: str | Path, *, dataset: int | None = None) -> RawEvents:
    """Read and check one data set of an FCS file.

    Parameters
    ----------
    path
        The file.
    dataset
        Which of several data sets, from 0; None accepts files that hold one.

    Raises
    ------
    FcsError
        The file is missing, is no FCS file, contradicts itself, is shorter than it says, or holds
        several data sets and none was chosen. `code` says which.

    """
    return _open(path, dataset, check_data=True)


def _open(path: str | Path, dataset: int | None, *, check_data: bool) -> RawEvents:
    try:
        with Path(path).open("rb") as handle:
            return _read_data_set(handle, str(path), dataset, check_data=check_data)
    except FcsError as error:
        raise error.with_context(file=str(path), step="read") from error.__cause__
    except FileNotFoundError as error:
        raise FcsError("no such file", code="missing", file=str(path), step="read") from error
    except OSError as error:
        raise FcsError(
            f"cannot be read: {error.strerror}", code="unreadable", file=str(path), step="read"
        ) from error


def _read_data_set(
    handle: BinaryIO, path: str, dataset: int | None, *, check_data: bool
) -> RawEvents:
    offset = _data_set_offset(handle, dataset)
    header = read_header(handle, offset)
    text = read_text(handle, header, offset)
    notes = [Note(*note) for note in text.notes]
    if dataset is None and integer_of(text.keywords, "$NEXTDATA", default=0) != 0:
        count = len(data_set_offsets(handle))
        if count > 1 and check_data:
            raise FcsError(
                f"the file holds {count} data sets; choose one (dataset=0 …)",
                code="several_data_sets",
            )
        if count == 1:
            notes.append(Note("next_data_missing", "$NEXTDATA leads to no other data set"))
    check_mode(text.keywords)
    parameters = parameters_of(text.keywords, notes)
    layout = layout_of(text.keywords, parameters)
    n_events = integer_of(text.keywords, "$TOT", default=None if check_data else 0)
    size = handle.seek(0, os.SEEK_END)
    if check_data and layout.row_bytes:
        first = first_byte_of(header, text, n_events * layout.row_bytes, size - offset, notes)
        layout = replace(layout, first_byte=offset + first)
    time_step = time_step_of(text.keywords, notes)
    raw = RawEvents(
        path=path,
        version=header.version,
        keywords=MappingProxyType(text.keywords),
        parameters=parameters,
        n_events=n_events,
        layout=layout,
        notes=tuple(notes),
        time_step=time_step,
    )
    if not check_data:
        return raw
    return _accepted_by_flowkit(raw, handle, offset)


def _data_set_offset(handle: BinaryIO, dataset: int | None) -> int:
    if not dataset:
        return 0
    offsets = data_set_offsets(handle, limit=max(dataset + 1, 1))
    if not 0 <= dataset < len(offsets):
        raise FcsError(
            f"data set {dataset} was asked for, the file holds {len(offsets)} (from 0)",
            code="data_set_missing",
        )
    return offsets[dataset]


def data_set_offsets(handle: BinaryIO, *, limit: int = 1000) -> tuple[int, ...]:
    """Where the file's data sets begin, following $NEXTDATA; stops at loops and at the end."""
    size = handle.seek(0, os.SEEK_END)
    offsets = [0]
    while len(offsets) < limit:
        try:
            text = read_text(handle, read_header(handle, offsets[-1]), offsets[-1])
            step = integer_of(text.keywords, "$NEXTDATA", default=0)
            following = offsets[-1] + step
            if step <= 0 or following >= size:
                break
            read_header(handle, following)
        except FcsError:
            break  # a chain that leads nowhere ends where it still made sense
        offsets.append(following)
    return tuple(offsets)


# --------------------------------------------------------------------------- FlowKit's word


def _accepted_by_flowkit(raw: RawEvents, handle: BinaryIO, offset: int) -> RawEvents:
    """Have FlowKit's parser read HEADER and TEXT, and DATA where only it can decode it."""
    from flowio import FlowData  # noqa: PLC0415  (0.1 s; only where a file is read)

    needs_decoding = raw.layout.dtype is None
    if needs_decoding:
        _refuse_what_flowkit_misreads(raw)
    handle.seek(0)
    try:
        # FlowKit gets our handle: it leaks its own on garbage. It closes it; ours is a duplicate.
        with os.fdopen(os.dup(handle.fileno()), "rb") as lent, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = FlowData(
                lent,
                ignore_offset_error=True,
                ignore_offset_discrepancy=True,
                only_text=not needs_decoding,
                nextdata_offset=offset,
            )
            if not needs_decoding:
                return raw
            if data.events is None:
                raise NotImplementedError
            if len(data.events) != raw.n_events * raw.n_parameters:
                raise FcsError("FlowKit decodes another number of values", code="event_count")
            events = np.array(data.events, dtype=np.float64)
    except FcsError:
        raise
    except Exception as error:
        if not needs_decoding:
            note = Note(
                "flowkit_refused", f"FlowKit's parser refuses this file: {type(error).__name__}"
            )
            return replace(raw, notes=(*raw.notes, note))
        bits = sorted({parameter.bits for parameter in raw.parameters})
        raise FcsError(
            f"$DATATYPE {raw.layout.data_type} with {bits} bits per value is not supported "
            f"(FlowKit: {type(error).__name__})",
            code="layout_unsupported",
        ) from error
    return replace(raw, decoded=events.reshape(raw.n_events, raw.n_parameters))


def _refuse_what_flowkit_misreads(raw: RawEvents) -> None:
    """Refuse what FlowKit's own decoding gets wrong without a word (FlowIO 1.4)."""
    keys = raw.keywords
    reasons = []
    if keys["$BYTEORD"] not in ("1,2,3,4", "1,2", "4,3,2,1", "2,1"):
        reasons.append(f"$BYTEORD {keys['$BYTEORD'][:20]!r}")
    reasons += [
        f"$P{n}R {keys.get(f'$P{n}R', '')[:20]!r}"
        for n in range(1, raw.n_parameters + 1)
        if not keys.get(f"$P{n}R", "").isdecimal() or int(keys[f"$P{n}R"][:9]) == 0
    ]
    reasons += [
        f"{key} beside ${key}" for key in keys if keys.get(f"${key}", keys[key]) != keys[key]
    ]
    if reasons:
        bits = sorted({parameter.bits for parameter in raw.parameters})
        raise FcsError(
            f"integers of {bits} bits cannot be read with {', '.join(reasons[:5])}",
            code="layout_unsupported",
        )
