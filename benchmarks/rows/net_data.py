"""Images for the rows of neural networks: scikit-learn's digits, enlarged, moved, with noise."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import ndimage
from sklearn.datasets import load_digits

SIDE, SHIFTS = 28, 5
# Of 256 shades a digit has the first 192, and noise the rest.
DIGIT_SHADES, NOISE_SHADES = 192, 64


@lru_cache
def enlarged() -> tuple[np.ndarray, np.ndarray]:
    """The 1,797 digits as uint8 (n, 24, 24), and their labels."""
    digits = load_digits()
    images = ndimage.zoom(digits.images / 16.0, (1, 3, 3), order=1)
    return np.rint((DIGIT_SHADES - 1) * images).astype(np.uint8), digits.target


def images(n: int, seed, unseen: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 28, 28) uint8 and labels (n,); ``unseen`` ones are of every fifth digit."""
    rng = np.random.default_rng(seed)
    digits, labels = enlarged()
    places = np.arange(len(digits))
    which = rng.choice(places[(places % 5 == 0) == unseen], n)
    shift = rng.integers(0, SHIFTS, (n, 2))
    X = rng.integers(0, NOISE_SHADES, (n, SIDE, SIDE), dtype=np.uint8)
    side = digits.shape[1]
    for down in range(SHIFTS):
        for right in range(SHIFTS):
            here = np.flatnonzero((shift == (down, right)).all(axis=1))
            X[here, down : down + side, right : right + side] += digits[which[here]]
    return X, labels[which]


def scaled(X) -> np.ndarray:
    """Shades as float32 from 0 to 1."""
    return X.astype(np.float32) / np.float32(255)
