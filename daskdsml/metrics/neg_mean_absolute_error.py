"""Negative mean absolute error."""

import numpy as np

from daskdsml.metrics._sums import RowMean


class NegMeanAbsoluteError(RowMean):
    """``-sum_i w_i |y_i - m_i| / sum_i w_i`` for predictions ``m_i``."""

    needs = "predictions"

    def score_rows(self, y, predicted, n_classes):
        return -np.abs(y - predicted)
