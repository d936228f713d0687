"""The package keeps the rules of docs/architecture.md; each rule is shown to be able to fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import house_rules as rules
from house_rules import Module

ROOT = Path(__file__).parents[1]
MODULES = rules.modules_in(ROOT / "src" / rules.PACKAGE)
DOCUMENT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FLOORS, TABLE_FAULTS = rules.floors_in(DOCUMENT, MODULES)

# rule, the file it is tried on, a snippet that breaks it, a snippet beside it that does not
Rule = Callable[[Module], list[str]]
BREACHES: list[tuple[Rule, str, str, str]] = [
    (rules.door_faults, "sample.py", "def f():\n    import flowkit", "import numpy"),
    (
        rules.door_faults,
        "tables.py",
        "from pandas import DataFrame",
        "from polars import DataFrame",
    ),
    (rules.door_faults, "quality.py", "import numba.typed", "import numpy.typing"),
    (rules.door_faults, "store.py", "import_module('distributed')", "import_module('sqlite3')"),
    (rules.slow_import_faults, "fcs.py", "import flowkit", "def f():\n    import flowkit"),
    (
        rules.slow_import_faults,
        "report.py",
        "if CHECKING:\n    from matplotlib.axes import Axes",
        "if TYPE_CHECKING:\n    from matplotlib.axes import Axes",
    ),
    (
        rules.slow_import_faults,
        "beads.py",
        "if True:\n    from scipy import stats",
        "from scipy.special import ndtri",
    ),
    (rules.relative_import_faults, "gating/apply.py", "from . import plan", "import plan"),
    (rules.name_faults, "utils.py", "", ""),
    (rules.name_faults, "gating/base.py", "", ""),
    (rules.size_faults, "long.py", "x = 1\n" * 451, "x = 1\n" * 450),
    (rules.kernel_flag_faults, "kernels/a.py", "njit(parallel=True)", "njit(parallel=False)"),
    (rules.kernel_flag_faults, "kernels/a.py", "F = {'fastmath': True}", "F = {'fastmath': False}"),
    (rules.kernel_flag_faults, "kernels/a.py", "njit(fastmath={'nnan'})", "njit(nogil=True)"),
    (rules.kernel_flag_faults, "kernels/a.py", "from numba import prange", "range(3)"),
    (
        rules.broad_except_faults,
        "tables.py",
        "try:\n    f()\nexcept Exception:\n    pass",
        "try:\n    f()\nexcept (OSError, ValueError):\n    pass",
    ),
    (
        rules.broad_except_faults,
        "tables.py",
        "try:\n    f()\nexcept:\n    raise ValueError",
        "try:\n    f()\nexcept:\n    tidy()\n    raise",
    ),
    (
        rules.broad_except_faults,
        "tables.py",
        "try:\n    f()\nexcept (OSError, BaseException):\n    pass",
        "class Exception: pass",
    ),
    (
        rules.broad_except_faults,
        "tables.py",
        "with contextlib.suppress(Exception):\n    f()",
        "with contextlib.suppress(OSError):\n    f()",
    ),
    (rules.print_faults, "cli.py", "print('x')", "console.print('x')"),
    (
        rules.dataclass_faults,
        "a.py",
        "@dataclass(frozen=True)\nclass A: pass",
        "@dataclass(frozen=True, slots=True)\nclass A: pass\n@dataclass\nclass _B: pass",
    ),
    (rules.undocumented_faults, "a.py", "x = 1", '"""Says what."""'),
    (
        rules.undocumented_faults,
        "a.py",
        '"""Says what."""\ndef f(): pass',
        '"""Says what."""\ndef _f(): pass',
    ),
    (
        rules.undocumented_faults,
        "a.py",
        '"""Says what."""\n__all__ = ["A"]\nclass A:\n    """A."""\n    def f(self): pass',
        '"""Says what."""\n__all__ = ["A"]\nclass A:\n    """A."""\ndef f(): pass',
    ),
]


@pytest.mark.parametrize(("rule", "path", "bad", "good"), BREACHES)
def test_the_rule_can_fail(rule: Rule, path: str, bad: str, good: str) -> None:
    assert rule(Module(path, bad))
    allowed = "fine.py" if rule is rules.name_faults else path
    assert rule(Module(allowed, good)) == []


@pytest.mark.parametrize(
    "rule",
    [
        rules.door_faults,
        rules.slow_import_faults,
        rules.relative_import_faults,
        rules.name_faults,
        rules.size_faults,
        rules.kernel_flag_faults,
        rules.broad_except_faults,
        rules.print_faults,
        rules.dataclass_faults,
        rules.undocumented_faults,
    ],
    ids=lambda rule: rule.__name__,
)
def test_the_package_keeps_the_rule(rule: Rule) -> None:
    assert [fault for module in MODULES for fault in rule(module)] == []


def test_every_door_of_broad_excepts_is_needed() -> None:
    texts = {module.path: module.text for module in MODULES}
    doors = rules.BROAD_EXCEPT_DOORS
    assert [d for d in doors if not rules.broad_except_faults(Module("x.py", texts[d]))] == []


def test_every_module_has_one_row_and_every_row_a_module() -> None:
    assert TABLE_FAULTS == []
    assert set(FLOORS) == {module.path for module in MODULES}


def test_imports_go_down() -> None:
    assert [fault for module in MODULES for fault in rules.floor_faults(module, FLOORS)] == []
    assert rules.cycle_faults(MODULES, FLOORS) == []


TABLE = """
| floor | module | lives here | may not |
|--:|---|---|---|
| 0 | `low.py` | x | |
| 0 | `equal.py` | x | |
| 1 | `high.py` | x | |
| 1 | `deep/` | `a`, `b` | |
| 9 | `__init__.py` | x | |
"""
SMALL_PACKAGE = [
    Module(path, "")
    for path in (
        "low.py",
        "equal.py",
        "high.py",
        "deep/__init__.py",
        "deep/a.py",
        "deep/b.py",
        "__init__.py",
    )
]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("low.py", "from cytosepsis import high"),
        ("low.py", "def f():\n    from cytosepsis.high import g"),
        ("low.py", "import cytosepsis.equal"),
        ("low.py", "from cytosepsis import __version__"),
        ("low.py", "if TYPE_CHECKING:\n    from cytosepsis.high import T"),
        ("low.py", "from cytosepsis.nowhere import x"),
        ("high.py", "from cytosepsis.deep.b import beside"),
    ],
)
def test_an_import_that_does_not_go_down_is_found(path: str, text: str) -> None:
    floors, faults = rules.floors_in(TABLE, SMALL_PACKAGE)
    assert faults == []
    assert rules.floor_faults(Module(path, text), floors)
    assert rules.floor_faults(Module("high.py", "from cytosepsis.low import x"), floors) == []
    assert rules.floor_faults(Module("deep/a.py", "from cytosepsis.deep import b"), floors) == []


@pytest.mark.parametrize(
    ("table", "modules"),
    [
        (TABLE, [*SMALL_PACKAGE, Module("new.py", "")]),
        (TABLE, [*SMALL_PACKAGE, Module("deep/new.py", "")]),
        (TABLE, SMALL_PACKAGE[1:]),
        (TABLE, [module for module in SMALL_PACKAGE if module.path != "deep/b.py"]),
        (TABLE + "| 1 | `low.py` | x | |\n", SMALL_PACKAGE),
    ],
    ids=["no row", "not named in its folder's row", "no module", "none of that name", "two rows"],
)
def test_a_table_that_is_not_the_package_is_found(table: str, modules: list[Module]) -> None:
    _, faults = rules.floors_in(table, modules)
    assert len(faults) == 1


def test_a_cycle_inside_a_folder_is_found() -> None:
    floors = {"deep/a.py": 1, "deep/b.py": 1}
    there = Module("deep/a.py", "from cytosepsis.deep import b")
    back = Module("deep/b.py", "def f():\n    from cytosepsis.deep.a import g")
    assert rules.cycle_faults([there, back], floors)
    assert rules.cycle_faults([there], floors) == []


def test_no_machine_path_anywhere() -> None:
    assert rules.machine_path_faults("a.md", "see " + "/".join(("", "home", "me", "x.fcs")))
    assert rules.machine_path_faults("a.md", "see ../shared/fcs and root/tmp/x") == []
    folders = ("src", "tests", "benchmarks", "docs", ".ci")
    files = [
        file
        for place in (ROOT, *(ROOT / name for name in folders))
        for file in (place.iterdir() if place == ROOT else place.rglob("*"))
        if file.suffix in {".py", ".md", ".toml", ".txt", ".cff"}
        or file.relative_to(ROOT).as_posix() in {"Makefile", ".ci/run"}
    ]
    assert len(files) > len(MODULES)
    assert [
        fault
        for file in files
        for fault in rules.machine_path_faults(
            file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")
        )
    ] == []
