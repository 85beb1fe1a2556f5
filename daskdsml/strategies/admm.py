"""Consensus by the alternating direction method of multipliers. Found by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from daskdsml.contracts import Result
from daskdsml.losses.penalties.l1_l2 import L1L2
from daskdsml.passes.loop import iterate
from daskdsml.passes.objective import Problem
from daskdsml.passes.progress import Progress
from daskdsml.strategies._admm_parts import Begin, PartRound, Told
from daskdsml.strategies._consensus import Consensus
from daskdsml.utils.threads import single_threaded_blas
from daskdsml.utils.validation import check_number

# Parameters whose matrices (128 MiB) parts make.
MOST_PARAMETERS = 4096
# Of a part: the penalty is on the consensus.
NONE = L1L2(0.0)


@dataclass(frozen=True)
class ADMM:
    """Consensus ADMM: parts of the rows minimise by themselves, and are brought to agree.

    The objective is ``sum_k f_k(x_k) + penalty(z)`` with all ``x_k = z``, where ``f_k`` is the loss
    of the rows of part k. With Hessians ``M_k`` of ``f_k`` where the search begins, a round is

    - ``x_k = argmin f_k(x) + u_k'(x - z) + |x - z|**2_k / 2`` in the norm ``|d|**2_k = d'M_k d``,
    - ``v_k = u_k + relaxation M_k (x_k - z)``,
    - ``z+ = argmin penalty(z+) + sum_k (|z+ - z|**2_k / 2 - v_k'z+)``,
    - ``u_k+ = v_k - M_k (z+ - z)``.

    A part solves its problem by Newton's method, with reads of its own rows alone: about two a
    round, one of which tells loss and gradient at z. The penalty, with L1 or not, is met exactly in
    the third line. Because ``M_k`` has taken the place of a number times the identity, neither the
    scale nor the correlation of columns slows rounds down: for quadratic losses an error shrinks
    to ``|1 - relaxation / 2|`` of itself in each. Begun with ``u_k = -grad f_k``, the first round
    is a Newton step. Rounds end on the residual of the whole problem at z, as other solvers do.

    Parts send ``2 d`` numbers for d parameters in each round, and a matrix in the first and in
    those few that renew it because rounds became slow. Shards (runs of chunks, of 1 MiB or more)
    are dealt out to parts in turn, so that sorted labels come into all of them; which rows a part
    has depends on chunks and ``n_parts`` alone, and parts are added in their order. So the result
    has the same bits on any number of workers, of which ``n_parts`` at most have work, each with
    one thread for each of its parts.

    ``max_iter`` of an estimator counts rounds. Where rows do not fit into memory, each read of a
    part reads its chunks again: `AllReduce` then reads them less often. It also takes fewer
    multiplications, and about as many rounds where Newton's method suits; parts pay where a
    message costs more than some reads of rows in memory.

    Parameters
    ----------
    n_parts : int, default=4
        Parts of the rows, or as many as there are shards if these are fewer.
    relaxation : float above 0 and below 2, default=1.9

    References
    ----------
    Boyd, S., Parikh, N., Chu, E., Peleato, B. and Eckstein, J. (2011). Distributed optimization and
    statistical learning via the alternating direction method of multipliers. Foundations and
    Trends in Machine Learning 3(1), sections 3.4 and 7.
    """

    n_parts: int = 4
    relaxation: float = 1.9

    provides: ClassVar = frozenset({"hessian", "column hessian"})
    reproducible: ClassVar = True

    def check(self) -> None:
        """Raise ValueError for settings out of range."""
        check_number(self, "n_parts", 1, integer=True)
        check_number(self, "relaxation", 0, strict=True, below=2)

    def check_size(self, size: int) -> None:
        """Raise ValueError if there are more parameters than matrices can be made of."""
        if size > MOST_PARAMETERS:
            raise ValueError(
                f"Parts of ADMM make matrices of all {size} parameters, of which there may be "
                f"{MOST_PARAMETERS} at most. Use strategy='all_reduce'."
            )

    def minimize(
        self, problem, rows, solver, theta, *, max_iter, progress=None, known=None
    ) -> Result:
        """Minimise ``problem`` over ``rows`` to the ``tol`` of the solver, from ``theta (size,)``.

        ``known``, the Evaluation there, is read again, for parts want their own.
        """
        self.check_size(problem.size)
        progress = Progress(problem.label, verbose=False) if progress is None else progress
        # Also between rounds: what is computed must not depend on the number of threads.
        with single_threaded_blas():
            parts = _Parts(problem, rows, min(self.n_parts, rows.n_shards), self.relaxation)
            return iterate(Consensus(solver.tol), parts, theta, max_iter, progress)


class _Parts(NamedTuple):
    """The parts of the rows, beside the problem of all."""

    problem: Problem
    rows: Any
    n_parts: int
    relaxation: float

    @property
    def stateless(self) -> bool:
        """Yes: what parts keep is made again where it is missing."""
        return True

    def round(self, state) -> list[Told]:
        """What parts tell of the trial: their Hessians there, or where they go from it."""
        own, label = self.problem._replace(penalty=NONE, names=None), self.problem.label
        if state.curved:
            states = [None] * self.n_parts
            return self.rows.parts(Begin(own), state.trial, states, f"{label}-hessian", keep=True)
        common = state.trial, state.trial - state.theta
        kernel, kept = PartRound(own, self.relaxation), (Begin(own), state.origin)
        return self.rows.parts(kernel, common, state.pulls, f"{label}-round", kept=kept)
