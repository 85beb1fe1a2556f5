"""Standard errors, tests and summary tables for fitted linear models."""

from daskdsml.inference.least_squares import infer
from daskdsml.inference.result import InferenceResult, WaldTest

__all__ = ["InferenceResult", "WaldTest", "infer"]
