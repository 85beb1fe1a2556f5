"""Acceptance and shortening of trial steps, for the solvers beside it."""

from __future__ import annotations

# Fraction of the decrease the slope promises that a step must deliver (Nocedal and Wright, 3.1).
SUFFICIENT = 1e-4
SHORTEST = 1e-10
# What is left of a rejected step, at least.
LEAST_FRACTION = 0.1
# The step that may remain, as a share of the parameters' standard errors (root mean square): so the
# answer keeps its quality as n grows, where the gradient alone would let it go.
STEP_IN_ERRORS = 0.05
# Ratios of actual to predicted decrease, and lengths, of steps that went as a quadratic model said.
NEAR_AGREEMENT, NEAR_LENGTHS = (0.8, 1.2), (0.8, 1.25)


def accepts(state, value: float, noise: float) -> bool:
    """Whether ``value`` at the trial is low enough; ``noise`` is the rounding error of values."""
    if state.direction is None:
        return True
    # The noise of an infinite value is infinite, too.
    finite = value < float("inf")
    return finite and value <= state.value + SUFFICIENT * state.length * state.slope + 8.0 * noise


def shorter(state, here):
    """``state`` with a shorter trial, at the minimum of the cubic through values and slopes.

    Both ends of the step have been evaluated with their gradients, so the cubic is known and the
    search costs no pass beyond that of the next trial.
    """
    fraction = LEAST_FRACTION  # the gradient at an infinite value may be anything
    if here.value < float("inf"):
        fraction = _cubic_fraction(
            state.value,
            state.slope * state.length,
            here.value,
            float(here.gradient @ state.direction) * state.length,
        )
    length = state.length * fraction
    if length < SHORTEST:
        return state._replace(status="stalled")
    return state._replace(trial=state.theta + length * state.direction, length=length)


def _cubic_fraction(value, slope, value_end, slope_end) -> float:
    """Minimiser in [0.1, 0.5] of the cubic with these values and slopes at 0 and 1."""
    a = slope + slope_end - 3.0 * (value_end - value)
    root = a * a - slope * slope_end
    if not 0.0 <= root < float("inf"):
        return LEAST_FRACTION
    bottom = slope_end - slope + 2.0 * root**0.5
    if bottom == 0.0:
        return 0.5
    fraction = 1.0 - (slope_end + root**0.5 - a) / bottom
    return min(max(fraction, LEAST_FRACTION), 0.5)


def fits_model(state, here) -> bool:
    """Whether the last step was as long as the model's, and led where that said.

    Then the next one is left as it is: sampled lengths, off by tenths, would make the end slow.
    """
    (low, high), (shortest, longest) = NEAR_AGREEMENT, NEAR_LENGTHS
    return shortest <= state.length <= longest and low <= agreement(state, here) <= high


def agreement(state, here) -> float:
    """Decrease from the last point to ``here``, relative to what was predicted."""
    if not state.predicted > 0.0:
        return float("nan")
    return (state.value - here.value) / state.predicted


def step_in_errors(slope, problem) -> float:
    """Length of a step that promises ``-slope``, in standard errors of the parameters.

    Root mean square over the parameters, as the Hessian of n rows has it: ``-slope = d'H d`` of the
    mean objective is n times as much for their sum.
    """
    return (max(-slope, 0.0) * problem.n_rows / problem.size) ** 0.5


def is_flat(gradient, null_space, problem, tol) -> bool:
    """Whether the objective does not fall where the Hessian is zero.

    Far from the optimum a loss may be so nearly straight that its curvature is lost in rounding:
    what then looks like columns that depend on each other is a start to be left.
    """
    if null_space is None:
        return True
    along = problem.standardized(null_space @ (null_space.T @ gradient))
    return bool(abs(along).max() <= max(tol, 1e-8))


def settled(slope, value, tol) -> bool:
    """Whether a step that promises ``-slope`` is small next to the objective's ``value``.

    Or next to ``tol**2``, where that is zero: the data are fitted exactly.
    """
    return -slope <= tol * max(abs(value), tol)
