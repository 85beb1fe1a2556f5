"""Why tests of scikit-learn fail on our classes: a pattern of test names, and its reason."""

DIFFERENCES: dict[str, str] = {}

# Only where X, y and weights are Dask Arrays.
WITH_DASK: dict[str, str] = {}
