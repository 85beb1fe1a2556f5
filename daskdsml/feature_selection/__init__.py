"""Selection of columns with scikit-learn's interface."""

from daskdsml.feature_selection.forward_stepwise import ForwardStepwiseSelector

__all__ = ["ForwardStepwiseSelector"]
