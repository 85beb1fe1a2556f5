"""Directions in which a likelihood keeps rising: separated classes and zero counts; for `infer`.

The maximum likelihood estimate is infinite along a direction d if no row contradicts it: in
logistic regression, if d puts all rows of one class that it moves on one side and those of the
other on the other side, be it all rows (complete separation) or some (quasi-complete; Albert and
Anderson 1984). Konis (2007) decides this by a linear program over all rows. Here a fitted model is
at hand, which has gone some way along such a d; three signs show it:

1. Next to no information. In the direction, the Hessian is a small part of that of the null model:
   rows that it moves are predicted with near certainty.
2. A step that remains. Where the likelihood falls off like exp(-z), each Newton step adds about 1
   to z, however far the fit went; at a maximum no step remains.
3. Much further on, by twenty such steps or three times as far (one more read, or two), the
   likelihood has not fallen, and the information has vanished. At a maximum with little
   information, it would stay.

The eigenvectors whose information vanished span the separated directions, and the parameters that
take part in them are the ones without an estimate.

What this may miss: classes that are separated, of a model that stopped long before (the check that
it is the optimum will then refuse it), or where many directions are nearly separated at once. What
it may name though an estimate exists: classes that overlap so little that the likelihood is flat,
within 0.05, to beyond odds of exp(20).

References
----------
Albert, A. and Anderson, J. A. (1984). On the existence of maximum likelihood estimates in logistic
regression models. Biometrika 71(1), 1-10.
Konis, K. (2007). Linear programming algorithms for detecting separated data in binary logistic
regression models. DPhil thesis, University of Oxford.
Correia, S., Guimaraes, P. and Zylkin, T. (2019). Verifying the existence of maximum likelihood
estimates for generalized linear models. arXiv:1903.01633.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

# Information of a direction, as a share of the null model's, from which on none is suspected.
SUSPECT_INFORMATION = 0.05
# A share so small that rounding hides the step that remains.
ROUNDING_INFORMATION = 1e-10
# The least step that remains, as a share of the way gone: scores do not get to 100.
MIN_STEP_SHARE = 0.01
# How much further to go: Newton steps, or, where rounding hides them, in units of the way gone.
FURTHER_STEPS, FURTHER_SHARE = 20.0, 2.0
# How much the log-likelihood may fall there: a 95 % interval of likelihoods allows for 1.92.
MAX_LOGLIK_FALL = 0.05
# What is left there of the information that a separated direction had.
VANISHED_INFORMATION = 0.01
# From this share of its own null standard error on, a parameter takes part in a direction.
MEMBER_SHARE = 1e-3


def suspected(curvature, score, theta) -> list[np.ndarray]:
    """How far to go (d,) to see if directions are separated: two tries, or none if none is so.

    The first goes along Newton's steps, which leave all directions that are not separated alone;
    the second along the way gone, which is right for classes that are separated completely.
    Hessian ``curvature (d, d)``, gradient ``score (d,)`` and parameters ``theta (d,)`` are in
    coordinates in which the null model's Hessian is the identity.
    """
    values, vectors = linalg.eigh(curvature, subset_by_value=(-np.inf, SUSPECT_INFORMATION))
    way, slope = vectors.T @ theta, -(vectors.T @ score)
    seen = values > ROUNDING_INFORMATION
    step = np.divide(slope, values, where=seen, out=np.zeros_like(slope))
    rising = (step * way > 0.0) & (np.abs(step) >= MIN_STEP_SHARE * np.abs(way))
    suspect = rising | ~seen
    if not suspect.any():
        return []
    flat = values <= values[suspect].max()
    return [
        vectors @ np.where(seen, FURTHER_STEPS * step, FURTHER_SHARE * way),
        vectors @ np.where(flat, FURTHER_SHARE * way, 0.0),
    ]


def vanished(before, after):
    """Directions (d, r), orthonormal, whose information ``before`` has vanished ``after``."""
    values, vectors = linalg.eigh(after, subset_by_value=(-np.inf, SUSPECT_INFORMATION))
    had = np.einsum("ij,ij->j", vectors, before @ vectors)
    rounding = ROUNDING_INFORMATION * SUSPECT_INFORMATION
    return vectors[:, values <= np.maximum(VANISHED_INFORMATION * had, rounding)]


def unknown(curvature):
    """Directions (d, r), orthonormal, of which the data say nothing, to rounding."""
    limit = 10.0 * len(curvature) * np.finfo(np.float64).eps
    return linalg.eigh(curvature, subset_by_value=(-np.inf, limit))[1]


def taking_part(root, directions):
    """Which parameters (q,), rows of ``root (q, d)``, have a part in ``directions (d, r)``."""
    return np.linalg.norm(root @ directions, axis=1) > MEMBER_SHARE * np.linalg.norm(root, axis=1)
