"""Transforms that are as lazy as what they are given; for the selectors."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from daskdsml.data.columns import Spread, take_columns
from daskdsml.data.dataset import check_in_memory, is_dask, meta_of
from daskdsml.engine.full.predict import lazily

if TYPE_CHECKING:  # a mixin, which its selectors mix with this
    from sklearn.feature_selection import SelectorMixin
else:
    SelectorMixin = object


class LazySelection(SelectorMixin):
    """Stands before scikit-learn's SelectorMixin and takes the Dask collections.

    scikit-learn wraps the methods of its own mixins to make what ``set_output`` asks for, which
    would bring a collection into this process's memory. This class is none of them.
    """

    def transform(self, X):
        """The selected columns of X.

        An array (n, k), CSR or DataFrame; lazily for a Dask collection, with its rows' chunks.
        """
        if not is_dask(X):
            check_in_memory(X, "X")
            return super().transform(X)
        check_is_fitted(self)
        validate_data(self, meta_of(X), skip_check_array=True, reset=False)
        if not self.support_.any():
            warnings.warn(
                "No features were selected: either the data is too noisy or the selection test "
                "too strict.",
                UserWarning,
                stacklevel=2,
            )
        return take_columns(X, self.support_)

    def fit_transform(self, X, y=None, sample_weight=None):
        """``fit(X, y, sample_weight)``, then ``transform(X)``."""
        return self.fit(X, y, sample_weight).transform(X)

    def inverse_transform(self, X):
        """X (n, k) with columns of zeros where `transform` left some out, (n, p). Lazy as X is."""
        if not is_dask(X):
            return super().inverse_transform(X)
        check_is_fitted(self)
        n_selected = int(np.count_nonzero(self.support_))
        if X.shape[1] != n_selected:
            raise ValueError(
                f"X has {X.shape[1]} columns, but {type(self).__name__} selected {n_selected}. "
                "Pass what transform returned."
            )
        return lazily(
            X,
            Spread(self.support_),
            _same,
            name="unselect",
            tail=(len(self.support_),),
            columns=getattr(self, "feature_names_in_", None),
            dtype=getattr(X, "dtype", np.float64),
        )


def _same(block):
    return block
