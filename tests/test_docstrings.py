"""What the docstrings of networks promise: examples that run, and defaults as they are."""

import doctest
import inspect
import re

import pytest
from sklearn.base import BaseEstimator

from daskdsml import neural_network
from daskdsml.utils import registry

PARTS = [part for part in vars(neural_network).values() if inspect.isclass(part)]
ESTIMATORS = [part for part in PARTS if issubclass(part, BaseEstimator)]
LAYERS = [registry.find("layers", name) for name in registry.available("layers")]


def named(parts):
    return pytest.mark.parametrize("part", parts, ids=[part.__name__ for part in parts])


def listed(part):
    """Names of parameters in a docstring, and what stands after the colon."""
    text = inspect.cleandoc(part.__doc__)
    block = re.search(r"^Parameters\n-+\n(.*?)(\n\n\w+\n-+\n|\Z)", text, re.DOTALL | re.MULTILINE)
    for names, said in re.findall(r"^(\w+(?:, \w+)*) : (.*)$", block[1] if block else "", re.M):
        if not said.startswith("see `"):
            yield names.split(", "), said


@named(ESTIMATORS)
def test_examples_print_what_they_say(part):
    (found,) = doctest.DocTestFinder(recurse=False).find(part, globs={})
    assert found.examples
    assert doctest.DocTestRunner().run(found).failed == 0


@named([*ESTIMATORS, *LAYERS])
def test_defaults_are_told_as_they_are(part):
    given = inspect.signature(part).parameters
    for names, said in listed(part):
        wanted = [given[name].default for name in names]
        assert all(value is inspect.Parameter.empty for value in wanted) != ("default=" in said)
        if "default=" in said:
            told = [eval(value) for value in said.rpartition("default=")[2].split(" and ")]
            assert (told if len(told) == len(names) else told * len(names)) == wanted
