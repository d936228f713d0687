"""A drafted study as files: study.toml, sheets and plans. Nothing that is there is overwritten."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from pathlib import Path

from cytosepsis.errors import CytosepsisError
from cytosepsis.first_study.draft import Draft
from cytosepsis.first_study.panels import ChannelRole, Panel
from cytosepsis.first_study.plans import plan_of

GUESS = "# GUESS:"
FILL_IN = "FILL-IN"  # name of the bead lot that nobody has named yet


def write_first_study(draft: Draft, out: Path) -> tuple[Path, ...]:
    """Write the study's files and return them; CytosepsisError where one of them is there already.

    `out` may be the folder of the FCS files itself, or another one, which then names it as a root.
    """
    texts = {
        "study.toml": study_text(draft, out),
        "samples.csv": _sheet(_sample_rows(draft)),
        "clinical.csv": _sheet(_clinical_rows(draft)),
    }
    if draft.beads:
        texts["beads.csv"] = _sheet(_bead_rows(draft))
    if draft.controls:
        texts |= _controls_texts(draft, out)
    if draft.left_out:
        texts["left_out.csv"] = _sheet(
            [{"file": left.file, "reason": left.reason} for left in draft.left_out]
        )
    for panel in draft.panels:
        texts[f"assays/{panel.name}.toml"] = plan_of(panel).text
    there = [name for name in texts if (out / name).exists()]
    if there:
        raise CytosepsisError(
            f"{out} already holds {', '.join(there)}; nothing was written. Name another folder "
            "with --out.",
            code="not_empty",
        )
    written = []
    for name, text in texts.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        written.append(path)
    return tuple(written)


# ------------------------------------------------------------------------------- study.toml


def study_text(draft: Draft, out: Path) -> str:
    """The text of study.toml, every guess marked."""
    lines = [
        "# A first study, drafted from a folder of FCS files. Nobody told what is marked GUESS:",
        "# confirm or correct it, then run `cytosepsis check` on this folder.",
        "",
        "[study]",
        f"name = {_quoted(draft.name)}",
        'samples = "samples.csv"',
        'clinical = "clinical.csv"          # write the shock onset of each patient into it',
    ]
    if draft.beads:
        lines.append('beads = "beads.csv"')
    if out.resolve() != draft.folder.resolve():
        root = os.path.relpath(draft.folder.resolve(), out.resolve())
        lines.append(f"roots = [{_quoted(Path(root).as_posix())}]")
    lines += _timepoint_lines(draft)
    lines += _lot_lines(draft)
    for panel in draft.panels:
        lines += _assay_lines(panel, with_beads=bool(draft.beads))
    return "\n".join(lines) + "\n"


def _timepoint_lines(draft: Draft) -> list[str]:
    lines = [f"{GUESS} names are read by {_comment(draft.pattern)}"]
    if draft.windows:
        first = next(iter(draft.windows))
        lines.append(f"baseline = {_quoted(first)}  {GUESS} the earliest window")
        lines += ["", f"[timepoints]  {GUESS} from the labels in the names"]
        lines += [f"{_quoted(label)} = [{a}, {b}]" for label, (a, b) in draft.windows.items()]
    else:
        lines += ["", "# No label names a day. Windows, in days since shock onset:"]
        lines += ["# [timepoints]", '# "D1-2" = [1, 2]']
    if draft.unclear_labels:
        listed = ", ".join(_comment(label) for label in draft.unclear_labels)
        lines.append(f"{GUESS} labels without days, or that overlap with another: {listed}")
    return lines


def _lot_lines(draft: Draft) -> list[str]:
    if not draft.beads:
        return ["", "# No bead file was recognised: without one there is no AB/C."]
    lines = []
    for lot in _lots(draft):
        values = ", ".join(f"{value:g}" for value in draft.lots.get(lot, ()))
        lines += ["", f"[bead_lots.{_key(lot)}]", f"pe_molecules = [{values}]"]
        if lot == FILL_IN:
            lines[-1] += "  # FILL IN: PE per bead of every level, from the kit's flyer"
    return lines


def _lots(draft: Draft) -> tuple[str, ...]:
    return tuple(draft.lots) or (FILL_IN,)


def _assay_lines(panel: Panel, *, with_beads: bool) -> list[str]:
    plan = plan_of(panel)
    compensation = "file" if panel.has_spillover else "none"
    every = "every file brings a matrix" if panel.has_spillover else "not every file brings one"
    files = f"{len(panel.files)} {'file' if len(panel.files) == 1 else 'files'}"
    lines = [
        "",
        f"[assays.{_key(panel.name)}]  {GUESS} {files} with the same channels and stains",
        f"compensation = {_quoted(compensation)}  {GUESS} {every}",
        f"gating = {_quoted(f'assays/{panel.name}.toml')}  {GUESS} {plan.about}",
        "",
        f"[assays.{_key(panel.name)}.channels]",
        *(_role_line(role) for role in panel.roles),
    ]
    if plan.monocytes and with_beads:
        lines += [
            "",
            f"[assays.{_key(panel.name)}.abc]  {GUESS} the panel holds CD14 and HLA-DR",
            f"population = {_quoted(plan.monocytes)}",
            'channel = "hladr"',
            f'statistic = "median"  {GUESS} the other is "geometric_mean"',
            "cutoffs = [5000, 8000, 15000]",
        ]
    return lines


def _role_line(role: ChannelRole) -> str:
    names = ", ".join(_quoted(name) for name in role.names)
    text = f"{role.role} = {names}" if len(role.names) == 1 else f"{role.role} = [{names}]"
    return f"{text}  {GUESS} {role.guess}" if role.guess else text


# ----------------------------------------------------------------------------------- sheets


def _sample_rows(draft: Draft) -> list[dict[str, str]]:
    several = len(draft.panels) > 1
    rows = []
    for panel in draft.panels:
        for facts in panel.files:
            named, purpose = draft.named[facts.file], draft.purposes[facts.file]
            guesses = list(named.guesses)
            if purpose.role != "sample":
                guesses.append(f"role from {purpose.because}")
            if facts.dataset is not None:
                guesses.append("dataset: the one with the most events")
            rows.append(
                {
                    "file": facts.file,
                    "patient_id": named.patient_id,
                    "group": named.group,
                    "timepoint": named.timepoint or "",
                    "drawn_at": "",
                    **({"assay": panel.name} if several else {}),
                    "role": purpose.role,
                    "dataset": "" if facts.dataset is None else str(facts.dataset),
                    "guess": "; ".join(guesses),
                }
            )
    return _without_empty(rows, ("dataset",))


def _bead_rows(draft: Draft) -> list[dict[str, str]]:
    lot = _lots(draft)[0]
    rows = []
    for number, facts in enumerate(draft.beads, 1):
        purpose = draft.purposes[facts.file]
        stems = [other.stem for other in draft.beads]
        run = facts.stem if stems.count(facts.stem) == 1 else f"{facts.stem}_{number}"
        guesses = [f"beads from {purpose.because}"]
        guesses += (
            [] if len(_lots(draft)) == 1 else [f"lot: the first of {', '.join(_lots(draft))}"]
        )
        guesses += ["channel: the one with the most levels"] if purpose.channel else []
        rows.append(
            {
                "bead_run": run,
                "file": facts.file,
                "lot": lot,
                "channel": purpose.channel or "",
                "dataset": "" if facts.dataset is None else str(facts.dataset),
                "guess": "; ".join(guesses),
            }
        )
    return _without_empty(rows, ("dataset",))


def _clinical_rows(draft: Draft) -> list[dict[str, str]]:
    groups = {named.patient_id: named.group for named in draft.named.values()}
    return [
        {"patient_id": patient, "shock_onset": "", "group": group}
        for patient, group in groups.items()
        if group in ("patient", "healthy")
    ]


def _controls_texts(draft: Draft, out: Path) -> dict[str, str]:
    """Sheets of single-stain controls for `cytosepsis compensate`, one for each set of channels."""
    sets: dict[frozenset[str], list[dict[str, str]]] = {}
    for facts in draft.controls:
        purpose = draft.purposes[facts.file]
        path = os.path.relpath((draft.folder / facts.file).resolve(), out.resolve())
        sets.setdefault(frozenset(facts.pnn), []).append(
            {
                "file": Path(path).as_posix(),
                "detector": purpose.channel or "",
                "role": purpose.kind,
                "guess": f"control from {purpose.because}; detector from the name, else the "
                "brightest",
            }
        )
    names = ["controls.csv", *(f"controls_{n}.csv" for n in range(2, len(sets) + 1))]
    return {name: _sheet(rows) for name, rows in zip(names, sets.values(), strict=True)}


def _without_empty(rows: list[dict[str, str]], optional: Iterable[str]) -> list[dict[str, str]]:
    empty = {name for name in optional if not any(row[name] for row in rows)}
    return [{key: value for key, value in row.items() if key not in empty} for row in rows]


def _sheet(rows: Sequence[Mapping[str, str]]) -> str:
    text = StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _quoted(text: str) -> str:
    """A basic string of TOML."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else _quoted(text)


def _comment(text: str) -> str:
    """Text that cannot leave its comment."""
    return "".join(c if c.isprintable() else "�" for c in text)
