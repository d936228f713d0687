"""FlowJo 10 workspaces: one sample's regions and scales read by FlowKit, its tree read here.

FlowKit reads all samples or none, overwrites siblings of one name, fails on names with a slash,
loses whether a gate was drawn on the compensated channel or the one before compensation, and takes
the scale of the latter for both. So it is given the one sample that is asked for, its gates side by
side under names of ours, and the channels' names as FlowJo wrote them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal
from urllib.parse import unquote

from cytosepsis.compensation import Spillover
from cytosepsis.errors import CompensationError, GatingError
from cytosepsis.gating.dependencies import in_order
from cytosepsis.gating.flowkit_gates import flowkit_door, region_of, transform_of
from cytosepsis.gating.markup import (
    DATA_TYPE,
    TRANSFORMS,
    Element,
    as_file,
    local_name,
    named,
    read_markup,
)
from cytosepsis.gating.plan import (
    DEFAULT_COMPENSATION,
    FILE_COMPENSATION,
    ROOT,
    UNCOMPENSATED,
    Axis,
    Boolean,
    Gate,
    GatingPlan,
    Operand,
    Rectangle,
    axes_of,
    make_plan,
)
from cytosepsis.transforms import Biex

_OPERATORS: dict[str, Literal["and", "or", "not"]] = {
    "AndNode": "and",
    "OrNode": "or",
    "NotNode": "not",
}
_REGIONS = ("RectangleGate", "PolygonGate", "EllipsoidGate")
_ADVICE = "Save the workspace again in FlowJo 10, or write the plan in TOML."
_MAX_LISTED = 20


@dataclass(frozen=True, slots=True)
class _Node:
    """One population of the sample's tree; `key` is its path as FlowJo writes it."""

    key: str
    name: str
    parent: str  # key of the parent, "" at the root
    element: Element


@dataclass(frozen=True, slots=True)
class _Matrix:
    """The sample's matrix under its name, and what FlowJo puts around a compensated channel."""

    name: str
    spillover: Spillover
    prefix: str
    suffix: str


def read_flowjo(
    path: str | Path, *, sample: str | None = None, root: Element | None = None
) -> GatingPlan:
    """Read the gates of one sample of a FlowJo 10 workspace, with its scales and its matrix.

    `sample` is the sample's name in the workspace, its `$FIL` or its file's name; it may be left
    out where the workspace has only one. A slash in a population's name becomes `_`. `root`: where
    the file is parsed already.

    Raises
    ------
    GatingError
        Not a FlowJo 10 workspace; the sample is not there, or more than one answers to the name;
        two sibling populations of one name; gates that FlowKit cannot convert.
    """
    path = Path(path)
    try:
        markup = read_markup(path) if root is None else root
        _check_version(markup)
        chosen = _choose(markup, sample)
        nodes = _nodes(chosen)
        return _plan(markup, chosen, nodes, path.name)
    except GatingError as error:
        error.file = str(path)  # make_plan knew only its name
        error.with_context(step="gating")
        raise
    except CompensationError as error:
        raise GatingError(error.message, file=str(path), step="gating") from error


def samples_of(markup: Element) -> tuple[str, ...]:
    """Names of the samples of a workspace, in its order."""
    return tuple(_name_of(sample) for sample in _samples(markup))


def _check_version(markup: Element) -> None:
    version = str(markup.get("flowJoVersion", ""))
    major = version.partition(".")[0]
    if local_name(markup) != "Workspace" or not major.isdecimal() or int(major) < 10:
        found = f"FlowJo {version}" if version else f"<{local_name(markup)}>"
        raise GatingError(f"a workspace of FlowJo 10 was expected, found {found}. {_ADVICE}")


def _samples(markup: Element) -> list[Element]:
    return [s for s in markup.findall("SampleList/Sample") if s.find("SampleNode") is not None]


def _name_of(sample: Element) -> str:
    return str(sample.find("SampleNode").get("name", ""))


def _keywords(sample: Element) -> dict[str, str]:
    return {
        str(keyword.get("name", "")): str(keyword.get("value", ""))
        for keyword in sample.findall("Keywords/Keyword")
    }


def _file_name(sample: Element) -> str:
    data_set = sample.find("DataSet")
    uri = "" if data_set is None else unquote(str(data_set.get("uri", "")))
    return PurePosixPath(uri).name


def _choose(markup: Element, wanted: str | None) -> Element:
    """Find the sample by name, else by `$FIL`, else by the file it was loaded from."""
    samples = _samples(markup)
    names = [_name_of(sample) for sample in samples]
    listed = ", ".join(names[:_MAX_LISTED]) + (", …" if len(names) > _MAX_LISTED else "")
    if not samples:
        raise GatingError("the workspace has no samples")
    if wanted is None:
        if len(samples) > 1:
            raise GatingError(
                f"the workspace has {len(samples)} samples; say which one (sample=…): {listed}"
            )
        return samples[0]
    short = PureWindowsPath(wanted).name  # knows both separators
    for name_of in (_name_of, lambda s: _keywords(s).get("$FIL", "").strip(), _file_name):
        found = [sample for sample in samples if name_of(sample) in (wanted, short)]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(str(s.find("SampleNode").get("sampleID")) for s in found)
            raise GatingError(
                f"{len(found)} samples of the workspace are called {wanted!r} (their ids: {ids}); "
                "rename them in FlowJo, or save a workspace for each"
            )
    raise GatingError(f"no sample {wanted!r} in the workspace; it has: {listed}")


def _nodes(sample: Element) -> dict[str, _Node]:
    """Find the populations by key, each after its parent, in the order of the document."""
    nodes: dict[str, _Node] = {}
    stack = [("", child) for child in _children(sample.find("SampleNode"))][::-1]
    while stack:
        parent, element = stack.pop()
        written = str(element.get("name", ""))
        key = f"{parent}/{written}" if parent else written
        if key in nodes:
            raise GatingError(
                f"two populations are called {key!r}; FlowJo tells them apart by their place, a "
                "plan does not: rename one in FlowJo"
            )
        nodes[key] = _Node(key, written.replace("/", "_"), parent, element)
        stack += [(key, child) for child in _children(element)][::-1]
    return nodes


def _children(element: Element) -> Iterator[Element]:
    for populations in element.findall("Subpopulations"):
        for child in populations:
            if local_name(child) == "Population" or local_name(child) in _OPERATORS:
                yield child


def _plan(markup: Element, sample: Element, nodes: Mapping[str, _Node], source: str) -> GatingPlan:
    regions = {key: _region(node) for key, node in nodes.items() if _is_region(node)}
    tokens = {key: f"g{index}" for index, key in enumerate(regions)}
    with flowkit_door(_ADVICE):
        strategy = _parsed(markup, sample, {tokens[key]: gate for key, gate in regions.items()})
    matrix = _matrix(sample)
    labels = _labels(sample)
    paths = {"": ROOT}
    for key, node in nodes.items():
        paths[key] = f"{paths[node.parent]}/{node.name}"
    gates: list[Gate] = []
    for key in in_order({key: _needs(node, nodes) for key, node in nodes.items()}):
        node = nodes[key]
        if key not in regions:
            gates.append(_boolean(node, paths))
            continue
        parsed = strategy.get_gate(tokens[key], (ROOT,))
        axes = [_axis(dimension, strategy, matrix, labels) for dimension in parsed.dimensions]
        gates.append(_opened(region_of(parsed, node.name, paths[node.parent], axes)))
    spillovers = [(matrix.name, matrix.spillover)] if matrix else []
    used = {axis.compensation for gate in gates for axis in axes_of(gate)}
    return make_plan(gates, [s for s in spillovers if s[0] in used], source)


def _is_region(node: _Node) -> bool:
    return local_name(node.element) not in _OPERATORS


def _region(node: _Node) -> Element:
    """Find the Gate element of a population; it must hold one region of a type we know."""
    gate = node.element.find("Gate")
    kinds = [] if gate is None else [local_name(child) for child in gate]
    if len(kinds) != 1 or kinds[0] not in _REGIONS:
        raise GatingError(
            f"population {node.key!r} is defined by {', '.join(kinds) or 'nothing'}; one of "
            f"{', '.join(_REGIONS)} can be read. Redraw it in FlowJo"
        )
    return gate


def _needs(node: _Node, nodes: Mapping[str, _Node]) -> list[str]:
    needed = [node.parent] if node.parent else []
    for operand in _operands(node):
        if operand not in nodes:
            raise GatingError(
                f"population {node.key!r} combines {operand!r}, which the sample does not have"
            )
        needed.append(operand)
    return needed


def _operands(node: _Node) -> list[str]:
    return [str(d.get("name", "")) for d in node.element.findall("Dependents/Dependent")]


def _boolean(node: _Node, paths: Mapping[str, str]) -> Boolean:
    operands = tuple(Operand(paths[key]) for key in _operands(node))
    return Boolean(node.name, paths[node.parent], _OPERATORS[local_name(node.element)], operands)


def _parsed(markup: Element, sample: Element, gates: Mapping[str, Element]) -> Any:
    """FlowKit's strategy of this sample alone, its gates side by side under the given names."""
    from flowkit import Workspace  # noqa: PLC0415  (two seconds)

    root = _shell(markup)
    make = root.makeelement
    root.append(make("Groups"))
    alone = make("Sample")
    data_set = sample.find("DataSet")
    alone.append(make("DataSet") if data_set is None else deepcopy(data_set))
    alone.append(_scales(sample, gates.values()))
    alone.append(make("Keywords"))
    node = make("SampleNode", {"name": "sample", "sampleID": "1"})
    populations = make("Subpopulations")
    for name, gate in gates.items():
        population = make("Population", {"name": name, "owningGroup": ""})
        population.append(deepcopy(gate))
        populations.append(population)
    node.append(populations)
    alone.append(node)
    samples = make("SampleList")
    samples.append(alone)
    root.append(samples)
    workspace = Workspace(as_file(root), load_missing_file_data=True)
    return workspace.get_gating_strategy("sample")


def _shell(markup: Element) -> Element:
    """Copy the root element alone: its attributes and namespaces, no children."""
    return markup.makeelement(markup.tag, dict(markup.attrib), nsmap=markup.nsmap)


def _scales(sample: Element, gates: Any) -> Element:
    """Copy the scales of the channels that gates use; others FlowKit need not even know.

    A compensated channel without a scale of its own has that of the channel.
    """
    scales = sample.makeelement("Transformations")
    found: dict[str, Element] = {}
    for element in sample.findall("Transformations/*"):
        for name in named(element.iter(DATA_TYPE + "parameter")):
            found.setdefault(name, element)
    prefixes = [str(m.get("prefix", "")) for m in sample.findall(TRANSFORMS + "spilloverMatrix")]
    used = [name for gate in gates for name in named(gate.iter(DATA_TYPE + "fcs-dimension"))]
    for name in dict.fromkeys(used):
        plain = next((name.removeprefix(p) for p in prefixes if p and name.startswith(p)), name)
        element = found.get(name, found.get(plain))
        if element is not None:
            scale = deepcopy(element)
            for parameter in scale.iter(DATA_TYPE + "parameter"):
                parameter.set(DATA_TYPE + "name", name)
            scales.append(scale)
    return scales


def _matrix(sample: Element) -> _Matrix | None:
    """Read the sample's matrix by the labels of its rows and columns."""
    elements = sample.findall(TRANSFORMS + "spilloverMatrix")
    if not elements:
        return None
    if len(elements) > 1:
        names = ", ".join(repr(e.get("name", "")) for e in elements)
        raise GatingError(f"the sample has {len(elements)} matrices ({names}); one can be read")
    (element,) = elements
    name = str(element.get("name", ""))
    if name in ("", DEFAULT_COMPENSATION, UNCOMPENSATED, FILE_COMPENSATION):
        name = f"{name} (workspace)".strip()
    if element.get("spectral") == "1" and element.get("weightOptAlgorithmType", "OLS") != "OLS":
        raise GatingError(
            f"matrix {name!r} unmixes by {element.get('weightOptAlgorithmType')}; only ordinary "
            "least squares (OLS) can be read"
        )
    labels = _labels(sample)
    table = {
        str(row.get(DATA_TYPE + "parameter", "")): {
            str(cell.get(DATA_TYPE + "parameter", "")): str(cell.get(TRANSFORMS + "value", ""))
            for cell in row.findall(TRANSFORMS + "coefficient")
        }
        for row in element.findall(TRANSFORMS + "spillover")
    }
    columns = list(dict.fromkeys(name for cells in table.values() for name in cells))
    if set(table) == set(columns):
        columns = list(table)  # the i-th fluorochrome's own detector stands at i
    try:
        values = tuple(tuple(float(cells[name]) for name in columns) for cells in table.values())
    except (KeyError, ValueError):
        raise GatingError(
            f"matrix {name!r} has a coefficient that is missing or not a number"
        ) from None
    spillover = Spillover(
        tuple(_slashed(column, labels) for column in columns),
        tuple(_slashed(row, labels) for row in table),
        values,
        name,
    )
    return _Matrix(name, spillover, str(element.get("prefix", "")), str(element.get("suffix", "")))


def _labels(sample: Element) -> dict[str, str]:
    """$PnN by the name FlowJo gives it: FlowJo writes `_` for `/`."""
    labels: dict[str, str] = {}
    for key, value in _keywords(sample).items():
        if key.startswith("$P") and key.endswith("N") and key[2:-1].isdecimal():
            labels.setdefault(value.replace("/", "_"), value)
    return labels


def _slashed(name: str, labels: Mapping[str, str]) -> str:
    return labels.get(name, name)


def _axis(dimension: Any, strategy: Any, matrix: _Matrix | None, labels: Mapping[str, str]) -> Axis:
    written = str(dimension.id)
    xform = strategy.transformations.get(dimension.transformation_ref)
    transform = None if xform is None else transform_of(xform)
    if matrix and (matrix.prefix or matrix.suffix):
        inner = written.removeprefix(matrix.prefix).removesuffix(matrix.suffix)
        channel = _slashed(inner, labels)
        around = (matrix.prefix + inner + matrix.suffix) == written
        if around and channel in matrix.spillover.fluorochromes:
            return Axis(channel, transform, matrix.name)
    return Axis(_slashed(written, labels), transform, UNCOMPENSATED)


def _opened(gate: Gate) -> Gate:
    """Open the sides that lie on the end of a FlowJo scale: events beyond it pile up there."""
    if not isinstance(gate, Rectangle):
        return gate
    low = list(gate.minimum)
    high = list(gate.maximum)
    for index, axis in enumerate(gate.axes):
        if isinstance(axis.transform, Biex):
            bottom, top = low[index], high[index]
            low[index] = None if bottom is not None and bottom <= 0 else bottom
            high[index] = None if top is not None and top >= axis.transform.length else top
    return replace(gate, minimum=tuple(low), maximum=tuple(high))
