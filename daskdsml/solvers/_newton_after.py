"""A quasi-Newton search that Newton's method takes over where it is slow."""

from __future__ import annotations

from typing import Any, NamedTuple

from daskdsml.solvers.lbfgs import LBFGS
from daskdsml.solvers.newton import Newton


class _State(NamedTuple):
    """The state of the search that goes on, and how many passes there were."""

    inner: Any
    n_passes: int = 0
    is_newton: bool = False

    def __getattr__(self, name):
        return getattr(self.inner, name)


class NewtonAfter(NamedTuple):
    """L-BFGS, and from where it stands after ``n_passes`` of its own, Newton's method.

    A Hessian costs as much as many gradients, but few are needed. With ``n_passes`` as many as
    Newton's steps cost, a fit takes about twice as long as by the better of the two, at most. It
    takes over earlier where L-BFGS ends with a gradient above ``tol``.
    """

    quick: LBFGS
    sure: Newton
    n_passes: int

    needs = frozenset({"gradient", "hessian"})

    def init(self, theta) -> _State:
        return _State(self.quick.init(theta))

    def step(self, state: _State, objective) -> _State:
        here = objective.evaluate(state.trial, state.curved)
        return self.tell(state, here, objective.problem)

    def tell(self, state: _State, here, problem) -> _State:
        """The state after the evaluation ``here`` of its trial."""
        if state.is_newton:
            if state.curved and here.hessian is None:  # there was no room for it in this read
                return state
            return state._replace(inner=self.sure.tell(state.inner, here, problem))
        inner, n_passes = self.quick.tell(state.inner, here, problem), state.n_passes + 1
        reached = inner.status == "separated" or inner.gradient_norm <= self.quick.tol
        # What ends before is at the end of what gradients can tell.
        slow = n_passes >= self.n_passes if inner.status is None else not reached
        if slow:
            newton = self.sure.init(inner.theta)._replace(
                value=inner.value, gradient_norm=inner.gradient_norm, name=inner.name
            )
            return _State(newton, n_passes, True)
        return _State(inner, n_passes)
