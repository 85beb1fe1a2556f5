"""Linear models with scikit-learn's interface."""

from daskdsml.linear_model.linear_regression import LinearRegression
from daskdsml.linear_model.logistic_regression import LogisticRegression
from daskdsml.linear_model.ridge import Ridge

__all__ = ["LinearRegression", "LogisticRegression", "Ridge"]
