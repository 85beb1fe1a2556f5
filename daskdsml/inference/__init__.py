"""Standard errors, tests and summary tables for fitted linear models."""

from daskdsml.inference._wald import WaldTest
from daskdsml.inference.infer import infer
from daskdsml.inference.result import InferenceResult, LeastSquaresResult, LikelihoodResult

__all__ = ["InferenceResult", "LeastSquaresResult", "LikelihoodResult", "WaldTest", "infer"]
