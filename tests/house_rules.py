"""The rules of docs/architecture.md as functions from one source file to what is wrong with it.

They read syntax trees, never the imported package, so an import inside a function counts too.
`test_architecture.py` applies them to the package and proves on bad snippets that each can fail.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = "cytosepsis"
MAX_LINES = 450

# A third-party package may be imported by these modules only (a folder stands for all it holds).
DOORS: Mapping[str, tuple[str, ...]] = {
    "flowkit": ("fcs.py", "gating/gatingml.py", "gating/flowjo.py"),
    "flowio": ("fcs.py", "gating/gatingml.py", "gating/flowjo.py"),
    "flowutils": (),
    "numba": ("kernels/",),
    "llvmlite": ("kernels/",),
    "distributed": ("cluster.py",),
    "dask": ("cluster.py",),
    "lxml": ("gating/markup.py",),
    "pandas": (),
}

# Slow to import (FlowKit about two seconds): only inside the function that needs them.
SLOW = ("flowkit", "flowio", "distributed", "dask", "matplotlib", "scipy.stats")

# Where FlowKit's unknown errors become ours, and where a fault costs one sample, file or command.
BROAD_EXCEPT_DOORS = (
    "fcs.py",
    "gating/flowkit_gates.py",
    "sample.py",
    "cli/__init__.py",  # the last resort: Python's own exit status for a fault means something else
)

DRAWERS = {"utils", "util", "core", "common", "helpers", "helper", "base", "misc", "tools"}

MACHINE_PATH = re.compile(r"(?<![\w.])/(?:tmp|home|root|Users|opt|mnt)/")

INIT = {"__init__"}

FLOOR_ROW = re.compile(r"^\| *(\d+) *\| *`(\w+(?:\.py|/))` *\|(.*)\|$", re.MULTILINE)


@dataclass(frozen=True)
class Module:
    """One source file: its path below the package (`gating/plan.py`) and its text."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        """The syntax tree; nobody changes it."""
        return _parsed(self.text)

    @property
    def package(self) -> str:
        """The folder below the package that holds the module; "" at the top."""
        return self.path.rpartition("/")[0]


@cache
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def modules_in(folder: Path) -> list[Module]:
    """Every module of the package's folder, in a fixed order."""
    return [
        Module(file.relative_to(folder).as_posix(), file.read_text(encoding="utf-8"))
        for file in sorted(folder.rglob("*.py"))
    ]


def floors_in(document: str, modules: list[Module]) -> tuple[dict[str, int], list[str]]:
    """Module path → floor by the document's table, and where table and modules disagree.

    A row is a module or a folder; a folder's row names each module in it (`walk`), and no lower
    case name beside them (functions are written `gate()`).
    """
    rows = FLOOR_ROW.findall(document)
    floors: dict[str, int] = {}
    faults = []
    unseen = {module.path for module in modules}
    for floor, row, text in rows:
        held = {path for path in unseen if path == row or path.startswith(row)}
        unseen -= held
        floors |= dict.fromkeys(held, int(floor))
        if not held:
            faults.append(f"{row}: a row without a module, or a second row")
        if row.endswith("/"):
            there = {path.removeprefix(row).removesuffix(".py") for path in held}
            named = set(re.findall(r"`([a-z_]\w*)`", text.partition("|")[0]))
            faults += [f"{row}{name}.py: not named in its row" for name in there - named - INIT]
            faults += [f"{row}{name}.py: in its row, but not there" for name in named - there]
    faults += [f"{path}: has no row in the table" for path in sorted(unseen)]
    return floors, faults


# Imports.


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything a tree imports, `import_module("x")` included.

    `from a import b` gives `a.b`: whether b is a module or a name in one is for the caller to say.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                # A relative import shows as one leading dot per level, and fits no floor.
                prefix = "." * level + (f"{module}." if module else "")
                yield from (prefix + alias.name for alias in names)
            case ast.Call(func=ast.Name(id="__import__" | "import_module"), args=[first, *_]) | (
                ast.Call(func=ast.Attribute(attr="import_module"), args=[first, *_])
            ):
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value


def own_targets(module: Module, known: Mapping[str, int]) -> list[str]:
    """Paths of our modules that a module imports; an unknown one is an error of the caller."""
    targets = []
    for name in imported_names(module.tree):
        parts = name.split(".")
        if parts[0] != PACKAGE:
            continue
        candidates = [
            "/".join(parts[1:]) + ".py",
            "/".join([*parts[1:], "__init__.py"]),
            "/".join(parts[1:-1]) + ".py",
            "/".join([*parts[1:-1], "__init__.py"]),
        ]
        found = next((path for path in candidates if path in known), None)
        targets.append(found or f"?{name}")
    return targets


def floor_faults(module: Module, floors: Mapping[str, int]) -> list[str]:
    """Imports of an equal or higher floor; inside one folder equals may know each other."""
    if module.path not in floors:
        return []  # said by `floors_in`
    faults = []
    for target in own_targets(module, floors):
        if target.startswith("?"):
            faults.append(f"{module.path}: imports {target[1:]}, which has no row in the table")
            continue
        sibling = module.package and Module(target, "").package == module.package
        same_folder = sibling and floors[target] == floors[module.path]
        if floors[target] >= floors[module.path] and not same_folder:
            faults.append(
                f"{module.path} (floor {floors[module.path]}) imports {target} "
                f"(floor {floors[target]})"
            )
    return faults


def relative_import_faults(module: Module) -> list[str]:
    """Relative imports, which hide the floor."""
    return [
        f"{module.path}: relative import {name}"
        for name in imported_names(module.tree)
        if name.startswith(".")
    ]


def cycle_faults(modules: list[Module], floors: Mapping[str, int]) -> list[str]:
    """Cycles among modules, which the floors leave possible inside one folder."""
    graph = {module.path: set(own_targets(module, floors)) for module in modules}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return ["import cycle: " + " → ".join(error.args[1])]
    return []


def door_faults(module: Module) -> list[str]:
    """Third-party packages imported elsewhere than at their door."""
    faults = []
    for name in imported_names(module.tree):
        doors = DOORS.get(name.split(".")[0])
        if doors is not None and not any(
            module.path == door or (door.endswith("/") and module.path.startswith(door))
            for door in doors
        ):
            faults.append(f"{module.path}: imports {name}, whose doors are {doors or 'none'}")
    return faults


def slow_import_faults(module: Module) -> list[str]:
    """Slow packages imported when the module is, rather than where they are used."""
    body = [_without_functions(node) for node in module.tree.body]
    outside = ast.Module(body=body, type_ignores=[])
    return [
        f"{module.path}: imports {name} at module level"
        for name in imported_names(outside)
        if any(name == slow or name.startswith(f"{slow}.") for slow in SLOW)
    ]


class _DropFunctions(ast.NodeTransformer):
    def visit_If(self, node: ast.If) -> ast.AST:
        # what only type checkers import costs nobody anything
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return ast.copy_location(ast.Pass(), node)
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return ast.copy_location(ast.Pass(), node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return ast.copy_location(ast.Pass(), node)


def _without_functions(node: ast.stmt) -> ast.stmt:
    kept = _DropFunctions().visit(deepcopy(node))
    assert isinstance(kept, ast.stmt)
    return kept


# Names, sizes, calls.


def name_faults(module: Module) -> list[str]:
    """Modules and folders named after no idea."""
    parts = module.path.removesuffix(".py").split("/")
    return [f"{module.path}: `{part}` names no idea" for part in parts if part in DRAWERS]


def size_faults(module: Module) -> list[str]:
    """Files past the limit; each probably hides a noun that wants a file of its own."""
    n_lines = len(module.text.splitlines())
    return [f"{module.path}: {n_lines} lines, limit {MAX_LINES}"] if n_lines > MAX_LINES else []


def kernel_flag_faults(module: Module) -> list[str]:
    """Parallel or fast-math kernels: the first abort under threads, the second miss NaN."""
    faults = []
    for node in ast.walk(module.tree):
        pairs: list[tuple[str, ast.expr]] = []
        match node:
            case ast.Call(keywords=keywords):
                pairs = [(keyword.arg or "", keyword.value) for keyword in keywords]
            case ast.Dict(keys=keys, values=values):
                pairs = [
                    (str(key.value), value)
                    for key, value in zip(keys, values, strict=True)
                    if isinstance(key, ast.Constant)
                ]
            case ast.Name(id="prange") | ast.Attribute(attr="prange") | ast.alias(name="prange"):
                faults.append(f"{module.path}: prange")
        for name, value in pairs:
            off = isinstance(value, ast.Constant) and value.value is False
            if name in {"parallel", "fastmath"} and not off:
                faults.append(f"{module.path}: {name}={ast.unparse(value)}")
    return faults


def broad_except_faults(module: Module) -> list[str]:
    """`except:`, `except Exception` and `suppress(Exception)` away from the doors.

    A handler that ends in a plain `raise` cleans up and catches nothing.
    """
    if module.path in BROAD_EXCEPT_DOORS:
        return []
    faults = []
    for node in ast.walk(module.tree):
        caught: list[ast.expr] = []
        match node:
            case ast.ExceptHandler(body=[*_, ast.Raise(exc=None)]):
                pass
            case ast.ExceptHandler(type=None):
                faults.append(f"{module.path}:{node.lineno}: bare except")
            case ast.ExceptHandler(type=ast.Tuple(elts=elements)):
                caught = elements
            case ast.ExceptHandler(type=ast.expr() as one):
                caught = [one]
            case ast.Call(func=ast.Name(id="suppress") | ast.Attribute(attr="suppress"), args=args):
                caught = args
        faults += [
            f"{module.path}:{kind.lineno}: catches {ast.unparse(kind)}"
            for kind in caught
            if ast.unparse(kind).rpartition(".")[2] in {"Exception", "BaseException"}
        ]
    return faults


def print_faults(module: Module) -> list[str]:
    """Calls of `print`: the library is silent, and the commands write through rich."""
    return [
        f"{module.path}:{node.lineno}: print"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]


def dataclass_faults(module: Module) -> list[str]:
    """Dataclasses that are not both frozen and slotted; a module's private ones may change."""
    faults = []
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ClassDef) or node.name.startswith("_"):
            continue
        for decorator in node.decorator_list:
            text = ast.unparse(decorator)
            if re.match(r"(dataclasses\.)?dataclass\b", text) and not (
                "frozen=True" in text and "slots=True" in text
            ):
                faults.append(f"{module.path}:{node.lineno}: {node.name} is not frozen and slotted")
    return faults


def undocumented_faults(module: Module) -> list[str]:
    """A module without a docstring, or a public function, class or method without one.

    Public: named in `__all__` where there is one, else without a leading underscore. A function
    that overrides an operator (`__iter__`) is documented by Python.
    """
    tree = module.tree
    faults = [] if ast.get_docstring(tree) else [f"{module.path}: no docstring"]
    listed = _names_in_all(tree)
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        if node.name not in listed if listed is not None else node.name.startswith("_"):
            continue
        inner = node.body if isinstance(node, ast.ClassDef) else []
        methods = [
            child
            for child in inner
            if isinstance(child, ast.FunctionDef) and not child.name.startswith("_")
        ]
        faults += [
            f"{module.path}:{each.lineno}: {each.name} has no docstring"
            for each in (node, *methods)
            if not ast.get_docstring(each) and not _is_overload(each)
        ]
    return faults


def _is_overload(node: ast.FunctionDef | ast.ClassDef) -> bool:
    return any(ast.unparse(decorator) == "overload" for decorator in node.decorator_list)


def _names_in_all(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List() | ast.Tuple())
                | ast.AnnAssign(target=ast.Name(id="__all__"), value=ast.List() | ast.Tuple())
            ):
                names: list[str] = ast.literal_eval(node.value)  # type: ignore[arg-type]
                return list(names)
    return None


def machine_path_faults(name: str, text: str) -> list[str]:
    """Absolute paths of somebody's machine in a file of any kind."""
    return [
        f"{name}:{number}: {line.strip()}"
        for number, line in enumerate(text.splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
