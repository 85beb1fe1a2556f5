"""The layers that docs/architecture.md draws: imports point down, a part to a file."""

import ast
import importlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import daskdsml
from daskdsml.utils import registry

PACKAGE = Path(daskdsml.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
# Layer of each folder or file of the package, from the lowest up.
LAYERS = {
    "contracts": 1, "network_contracts": 1, "utils": 1,
    "backends": 2,
    "losses": 3, "layers": 3, "solvers": 3, "metrics": 3, "optimizers": 3,
    "passes": 4,
    "data": 5, "engine": 5,
    "strategies": 6, "inference": 6,
    "linear_model": 7, "neural_network": 7, "feature_selection": 7,
    "plotting": 8,
}  # fmt: skip
DUNDERS = ("__all__", "__version__", "(__getattr__, __dir__)")
FAMILIES = ("losses", "layers", "solvers", "optimizers", "metrics")
# Third-party packages, and the rooms that may import them.
GUESTS = {
    "dask": {room for room, layer in LAYERS.items() if layer in (5, 6, 8)},
    "distributed": {room for room, layer in LAYERS.items() if layer in (5, 6, 8)},
    "sklearn": {room for room, layer in LAYERS.items() if layer in (5, 7, 8)},
    "numba": {"backends"},
    "cupy": {"backends"},
    "array_api_compat": {"backends"},
}


@cache  # of all files: one that forgets the oldest would have forgotten each when it is met again
def tree_of(path):
    return ast.parse(path.read_text())


@cache
def nodes_of(path):
    return list(ast.walk(tree_of(path)))


def room_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(path):
    """Full names of all modules that a file imports, at its top or within functions."""
    names = []
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def own_rooms(path):
    """Rooms of this package that a file imports from."""
    return {name.split(".")[1] for name in imports_of(path) if name.startswith("daskdsml.")}


def test_imports_point_down():
    assert own_rooms(PACKAGE / "__init__.py") <= {"utils"}
    for path in FILES:
        room = room_of(path)
        if room != "__init__":
            above = {other for other in own_rooms(path) if LAYERS[other] > LAYERS[room]}
            assert not above, path


def test_guests_stay_in_their_rooms():
    for path in FILES:
        for name in imports_of(path):
            guest = name.split(".")[0]
            assert room_of(path) in GUESTS.get(guest, {room_of(path)}), f"{name} in {path}"


@pytest.mark.parametrize("family", FAMILIES)
def test_families_never_import_each_other(family):
    others = set(FAMILIES) - {family}
    for path in (PACKAGE / family).rglob("*.py"):
        assert not own_rooms(path) & others, path.name


def test_engine_and_kernels_do_not_know_each_other():
    for room in ("backends", "losses", "solvers", "metrics", "passes"):
        for path in (PACKAGE / room).rglob("*.py"):
            assert not own_rooms(path) & {"engine", "data"}, path.name


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "__init__.py"], ids=str)
def test_package_files_only_re_export(path):
    for node in tree_of(path).body:
        doc = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        named = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in DUNDERS
        assert doc or named or isinstance(node, ast.Import | ast.ImportFrom), ast.unparse(node)


def test_every_file_says_its_duty():
    assert not [path for path in FILES if not ast.get_docstring(tree_of(path))]


def test_files_and_functions_are_short():
    for path in FILES:
        most = 400 if LAYERS.get(room_of(path), 0) == 7 else 300
        assert len(path.read_text().splitlines()) <= most, path
        for node in nodes_of(path):
            if isinstance(node, ast.FunctionDef):
                assert code_lines(node) <= 40, f"{node.name} of {path} has {code_lines(node)} lines"


def code_lines(function):
    """Lines of a function without its signature and docstring."""
    first = function.body[1 if ast.get_docstring(function) else 0 :]
    return function.end_lineno - first[0].lineno + 1 if first else 0


def test_names_of_classes_are_unique():
    found = {}
    for path in FILES:
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(path.relative_to(PACKAGE))
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def test_no_assert_for_mistakes_of_users():
    for path in FILES:
        assert not [n for n in nodes_of(path) if isinstance(n, ast.Assert)], path


def test_no_private_names_of_others():
    for path in FILES:
        for name in imports_of(path):
            parts = name.split(".")
            if parts[0] not in ("daskdsml", "__future__"):
                assert not [part for part in parts if part.startswith("_")], f"{name} in {path}"


@pytest.mark.parametrize("family", registry.FAMILIES)
def test_parts_are_found_by_their_files(family):
    for name in registry.available(family):
        part = registry.find(family, name)
        assert part.__module__ == f"daskdsml.{family}.{name}"
        assert part.__doc__


def imported_after(statement):
    """Full names of the modules a fresh process holds after ``statement``."""
    code = f"{statement}\nimport sys\nprint(*sys.modules, sep='\\n')"
    command = [sys.executable, "-c", code]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_importing_is_light():
    modules = imported_after("import daskdsml")
    assert "daskdsml" in modules
    assert not modules & {"numba", "distributed", "cupy", "sklearn", "dask"}


def test_importing_estimators_compiles_nothing_and_starts_no_cluster():
    # dask.array itself imports numba where the package `sparse` is installed.
    modules = imported_after("import daskdsml.linear_model")
    ours = {name for name in modules if name.startswith("daskdsml.backends.")}
    assert not ours & {"daskdsml.backends.numba", "daskdsml.backends._kernels"}
    assert not modules & {"distributed", "cupy", "dask.dataframe"}


@pytest.mark.parametrize("family", sorted({*FAMILIES, "strategies"} - {"solvers"}))
def test_parts_are_imported_as_people_type(family):
    package = importlib.import_module(f"daskdsml.{family}")
    parts = {registry.find(family, name) for name in registry.available(family)}
    assert {getattr(package, name) for name in dir(package)} == parts
    assert package.__all__ == dir(package)  # import *
    with pytest.raises(AttributeError, match=f"daskdsml.{family}"):
        package.Nothing  # noqa: B018


def test_versions_are_shown(capsys):
    daskdsml.show_versions()
    shown = capsys.readouterr().out
    for name in ("python", "daskdsml", "dask", "numpy", "scikit-learn", "openblas"):
        assert f"{name}: " in shown
