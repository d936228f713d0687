"""FlowJo 10 workspaces: one sample's regions and scales read by FlowKit, its tree read here.

FlowKit reads all samples or none, overwrites siblings of one name, fails on names with a slash,
loses whether a gate was drawn on the compensated channel or the one before compensation, and takes
the scale of the latter for both. So it is given the one sample that is asked for, its gates side by
side under names of ours, and the channels' names as FlowJo wrote them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

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
    FixedGate,
    GatingPlan,
    Operand,
    Rectangle,
    axes_of,
    make_plan,
)
from cytosepsis.gating.workspace import (
    ADVICE,
    OPERATORS,
    Node,
    check_version,
    choose,
    keywords_of,
    nodes_of,
    paths_of,
    stored_count,
)
from cytosepsis.transforms import Biex

_REGIONS = ("RectangleGate", "PolygonGate", "EllipsoidGate")


@dataclass(frozen=True, slots=True)
class _Matrix:
    """The sample's matrix under its name, and what FlowJo puts around a compensated channel."""

    name: str
    spillover: Spillover
    prefix: str
    suffix: str


def read_flowjo(
    path: str | Path, *, sample: str | Sequence[str] | None = None, root: Element | None = None
) -> GatingPlan:
    """Read the gates of one sample of a FlowJo 10 workspace, with its scales and its matrix.

    `sample` is the sample's name in the workspace, its `$FIL`, its file's name or a
    `KEYWORD=VALUE`, or several names of one acquisition; it may be left out where the workspace has
    only one. A slash in a population's name becomes `_`. `root`: where the file is parsed already.

    Raises
    ------
    GatingError
        Not a FlowJo 10 workspace; the sample is not there, or more than one answers to the name;
        two sibling populations of one name; gates that FlowKit cannot convert.
    """
    path = Path(path)
    return _of_sample(
        path,
        sample,
        lambda markup, chosen: _plan(markup, chosen, nodes_of(chosen), path.name),
        root=root,
    )


def read_stored_counts(
    path: str | Path, *, sample: str | Sequence[str] | None = None
) -> dict[str, int | None]:
    """Events that FlowJo stored with each population of a sample, by the plan's paths.

    None where FlowJo had not counted when the workspace was saved. Errors as of `read_flowjo`.
    """

    def counts(_markup: Element, chosen: Element) -> dict[str, int | None]:
        nodes = nodes_of(chosen)
        paths = paths_of(nodes)
        root = {ROOT: stored_count(chosen.find("SampleNode"))}
        return root | {paths[key]: node.count for key, node in nodes.items()}

    return _of_sample(Path(path), sample, counts)


_Found = TypeVar("_Found")


def _of_sample(
    path: Path,
    sample: str | Sequence[str] | None,
    read: Callable[[Element, Element], _Found],
    *,
    root: Element | None = None,
) -> _Found:
    """Read something of one sample of a workspace; errors are told with the workspace's path."""
    try:
        markup = read_markup(path) if root is None else root
        check_version(markup)
        return read(markup, choose(markup, sample))
    except GatingError as error:
        error.file = str(path)  # make_plan knew only its name
        error.with_context(step="gating")
        raise
    except CompensationError as error:
        raise GatingError(error.message, file=str(path), step="gating") from error


def _plan(markup: Element, sample: Element, nodes: Mapping[str, Node], source: str) -> GatingPlan:
    regions = {key: _region(node) for key, node in nodes.items() if _is_region(node)}
    tokens = {key: f"g{index}" for index, key in enumerate(regions)}
    with flowkit_door(ADVICE):
        strategy = _parsed(markup, sample, {tokens[key]: gate for key, gate in regions.items()})
    matrix = _matrix(sample)
    labels = _labels(sample)
    paths = paths_of(nodes)
    gates: list[FixedGate] = []
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


def _is_region(node: Node) -> bool:
    return local_name(node.element) not in OPERATORS


def _region(node: Node) -> Element:
    """Find the Gate element of a population; it must hold one region of a type we know."""
    gate = node.element.find("Gate")
    kinds = [] if gate is None else [local_name(child) for child in gate]
    if len(kinds) != 1 or kinds[0] not in _REGIONS:
        raise GatingError(
            f"population {node.key!r} is defined by {', '.join(kinds) or 'nothing'}; one of "
            f"{', '.join(_REGIONS)} can be read. Redraw it in FlowJo"
        )
    return gate


def _needs(node: Node, nodes: Mapping[str, Node]) -> list[str]:
    needed = [node.parent] if node.parent else []
    for operand in _operands(node):
        if operand not in nodes:
            raise GatingError(
                f"population {node.key!r} combines {operand!r}, which the sample does not have"
            )
        needed.append(operand)
    return needed


def _operands(node: Node) -> list[str]:
    return [str(d.get("name", "")) for d in node.element.findall("Dependents/Dependent")]


def _boolean(node: Node, paths: Mapping[str, str]) -> Boolean:
    operands = tuple(Operand(paths[key]) for key in _operands(node))
    return Boolean(node.name, paths[node.parent], OPERATORS[local_name(node.element)], operands)


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
    for key, value in keywords_of(sample).items():
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


def _opened(gate: FixedGate) -> FixedGate:
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
