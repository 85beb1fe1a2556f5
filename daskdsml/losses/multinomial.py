"""Multinomial logistic loss of a class. Found by name."""

from typing import NamedTuple


class Multinomial(NamedTuple):
    """Negative log-likelihood of one of ``n_outputs`` classes with the softmax link.

    With ``p_k = exp(z_k) / sum_l exp(z_l)``, ``value = -log p_y``, ``dz_k = p_k - [k = y]`` and
    ``curvature_kl = p_k [k = l] - p_k p_l``. The raw scores ``z (..., K)`` of a row share its one
    target ``y (...)``, a class code 0 .. K - 1 as a float, which is broadcast to the leading axes.
    Scores enter as distances from the largest one, whose exponential is 1: nothing overflows, and
    the value keeps its digits where it is small. Adding a number to all scores of a row changes
    nothing, so the curvature is singular in that direction.

    References
    ----------
    McCullagh, P. and Nelder, J. A. (1989). Generalized Linear Models, 2nd ed., section 5.
    """

    n_outputs: int
    coupled = True
    targets = "classes"
    softmax = True  # compiled loops have this one in their own code

    def value_and_derivative(self, xp, y, z):
        """Loss ``(...)`` and its gradient ``(..., K)`` in ``z``, in the functions of ``xp``."""
        peak, powers, rest = _powers(xp, z)
        codes = xp.arange(self.n_outputs, dtype=y.dtype, device=y.device)
        hit = xp.astype(y[..., None] == codes, z.dtype)
        value = xp.log1p(rest) + (peak - xp.sum(hit * z, axis=-1, keepdims=True))
        return value[..., 0], powers / (1.0 + rest) - hit

    def second_derivative(self, xp, y, z):
        """Hessian ``(..., K, K)`` of the loss in ``z``, which the target does not enter."""
        share = self.mean(xp, z)
        spread = xp.eye(self.n_outputs, dtype=z.dtype, device=z.device) - share[..., None, :]
        return share[..., :, None] * spread

    def mean(self, xp, z):
        """Inverse link: the probabilities ``(..., K)`` of the classes at raw scores ``z``."""
        _, powers, rest = _powers(xp, z)
        return powers / (1.0 + rest)


def _powers(xp, z):
    """The largest score, ``exp`` of distances from it, and their sum less the 1 it stands for."""
    peak = xp.max(z, axis=-1, keepdims=True)
    powers = xp.exp(z - peak)
    top = xp.astype(z == peak, z.dtype)
    ties = xp.sum(top, axis=-1, keepdims=True) - 1.0
    return peak, powers, xp.sum(powers - top, axis=-1, keepdims=True) + ties
