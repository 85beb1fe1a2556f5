"""What the disk cache of the compiled kernels depends on, and how processes share it."""

import ast
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")

from numba import config  # noqa: E402
from numba.core.codegen import CPUCodeLibrary  # noqa: E402

from daskdsml.backends import _compile, _model_kernels  # noqa: E402
from daskdsml.losses.logistic import Logistic  # noqa: E402

LOSS = """
from daskdsml.losses import Logistic
from .formulas import half

class Halved(Logistic):
    pass
"""


@pytest.fixture
def edit(monkeypatch):
    """Makes believe that a module's source was edited before this process began."""
    source_of = _compile._source_of

    def edit(module):
        monkeypatch.setattr(
            _compile, "_source_of", lambda name: source_of(name) + "\n# edited" * (name == module)
        )
        _compile.source_digest.cache_clear()

    yield edit
    _compile.source_digest.cache_clear()


@pytest.fixture
def halved(tmp_path, monkeypatch):
    """A loss that a user wrote in a package of theirs, on a function of another file there."""
    package = tmp_path / "made_up_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "loss.py").write_text(LOSS)
    (package / "formulas.py").write_text("def half(x):\n    return 0.5 * x\n")
    (package / "plots.py").write_text("from .loss import Halved\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("made_up_package.plots").Halved
    for name in [name for name in sys.modules if name.startswith("made_up_package")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "module, matters",
    [
        ("daskdsml.backends._model_kernels", True),
        ("daskdsml.backends._kernels", True),
        ("daskdsml.backends._scalar", True),  # imported by what is imported
        ("daskdsml.backends._sgd_kernels", False),
        ("daskdsml.backends._layers._dense_kernels", False),
        ("daskdsml.losses.logistic", False),
    ],
)
def test_a_kernel_is_compiled_anew_if_what_it_imports_was_edited(module, matters, edit):
    before = _compile.source_digest(_model_kernels.link_models)
    edit(module)
    assert (_compile.source_digest(_model_kernels.link_models) != before) == matters


@pytest.mark.parametrize(
    "module, matters",
    [
        ("made_up_package.loss", True),
        ("made_up_package.formulas", True),
        ("daskdsml.losses.logistic", True),  # the base class
        ("made_up_package.plots", False),
        ("daskdsml.losses.poisson", False),
    ],
)
def test_a_users_loss_is_compiled_anew_if_what_it_imports_was_edited(module, matters, edit, halved):
    before = _compile.source_digest(halved)
    assert before != _compile.source_digest(Logistic)
    edit(module)
    assert (_compile.source_digest(halved) != before) == matters


def test_what_others_cannot_look_up_is_not_cached():
    for module in ("__main__", "made_up_and_nowhere"):
        assert _compile.source_digest(type("Loss", (Logistic,), {"__module__": module})) is None
    assert _compile.source_digest(type("Loss", (Logistic,), {"__module__": __name__}))


def test_sources_are_read_once(monkeypatch):
    digest = _compile.source_digest(_model_kernels.link_models)
    monkeypatch.setattr(_compile, "_source_of", None)
    assert _compile.source_digest(_model_kernels.link_models) == digest


def test_processes_that_save_at_once_keep_their_own_code(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    function = _model_kernels.link_models.py_func
    one, other = (_compile._KernelCache(function)._cache_file for _ in range(2))
    save_data = one._save_data

    def save_after_other(name, data):
        with monkeypatch.context() as before_one:
            before_one.setattr(other, "_load_index", dict)
            other.save("other", "code of the other")
        save_data(name, data)

    monkeypatch.setattr(one, "_save_data", save_after_other)
    one.save("one", "code of the one")
    assert other.load("other") == "code of the other"
    assert one.load("one") in ("code of the one", None)


def test_imports_are_those_of_the_syntax():
    """All modules of the package, against Python's syntax trees."""
    for module in [sys.modules[name] for name in sorted(sys.modules) if "daskdsml" in name]:
        source, expected = inspect.getsource(module), []
        for node in ast.parse(source).body:
            if isinstance(node, ast.Import):
                expected += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                origin = "." * node.level + (node.module or "")
                origin = importlib.util.resolve_name(origin, module.__package__)
                expected += [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
        assert set(expected) <= set(_compile._imports_of(module.__name__, source))


def test_threads_that_compile_at_once_make_no_syntax_trees(monkeypatch):
    monkeypatch.setattr(ast, "parse", None)
    _compile.source_digest.cache_clear()
    assert _compile.source_digest(_model_kernels.link_models) is not None


def compiled_functions():
    for file in Path(_compile.__file__).parent.rglob("*.py"):
        for node in ast.parse(file.read_text()).body:
            marks = map(ast.unparse, getattr(node, "decorator_list", ()))
            if any(mark.startswith(("kernel", "njit")) for mark in marks):
                yield node


def test_compiled_code_assigns_arrays_in_loops():
    """Numba takes 3 s to compile ``a[:] = b``, with the text of its error; numbers are quick."""
    functions = list(compiled_functions())
    assert len(functions) > 50
    for function in functions:
        for node in ast.walk(function):
            parts = ast.walk(node.targets[0]) if isinstance(node, ast.Assign) else ()
            if any(isinstance(part, ast.Slice) for part in parts):
                number = isinstance(node.value, ast.Constant | ast.Call | ast.Tuple)
                assert number, f"{function.name}: {ast.unparse(node)}"


def test_code_that_cannot_be_saved_runs(monkeypatch):
    def without_object(library):
        raise RuntimeError(f"no compiled object yet for {library}")

    monkeypatch.setattr(CPUCodeLibrary, "serialize_using_object_code", without_object)
    thirds = _compile.kernel(third)
    assert thirds(6.0) == 2.0


def third(number):
    return number / 3.0
