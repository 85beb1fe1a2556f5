"""Negative mean squared error."""

from daskdsml.metrics._sums import RowMean


class NegMeanSquaredError(RowMean):
    """``-sum_i w_i (y_i - m_i)**2 / sum_i w_i`` for predictions ``m_i``."""

    needs = "predictions"

    def score_rows(self, y, predicted, n_classes):
        return -((y - predicted) ** 2)
