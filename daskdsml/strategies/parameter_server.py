"""Parameters kept by servers on workers, to which others push gradients. Found by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from daskdsml.strategies._steps import Steps
from daskdsml.utils.validation import check_number


@dataclass(frozen=True)
class ParameterServer:
    """Stale-synchronous descent: workers need not wait for each other's gradients.

    Parameters and the optimizer's state live on servers, which run beside the workers. A worker
    measures the gradient of its rows of mini-batch ``t`` at the newest parameters it has been
    sent, pushes it, and goes on. Once all have pushed theirs, the servers take step ``t`` and send
    the parameters to all workers. A worker waits only if the parameters it has lack more than
    ``staleness`` of the steps before ``t``: gradients are delayed by so many steps at most, which
    servers verify, and nobody is further ahead of the slowest.

    With ``staleness=0`` training is synchronous, with the same bits as that of `AllReduce` on as
    many workers. Otherwise parameters depend on who was faster, so there are no bits to repeat:
    ``reproducible_`` of an estimator is False. Delayed gradients want a smaller learning rate,
    or momentum, than those of now. In one process, where steps follow each other, there is no
    delay; nor is there for rows that only Dask can make and workers do not keep, which come step by
    step. A step with a loss or gradient that is not finite is made again in step with all workers.

    Each worker sends the servers a gradient a step and is sent the parameters, ``2 W d`` numbers
    for ``W`` workers, where `AllReduce` sends ``W (W - 1) d``.

    Parameters
    ----------
    staleness : int, default=0
        Steps by which a gradient may be older than the parameters it is applied to.
    n_servers : int or None, default=None
        Servers, each with a slice of the parameters, at most as many as there are workers. None is
        one for about each million parameters, and a single one where gradients are clipped.

    References
    ----------
    Ho, Q. et al. (2013). More effective distributed ML via a stale synchronous parallel parameter
    server. NeurIPS.
    Li, M. et al. (2014). Scaling distributed machine learning with the parameter server. OSDI.
    """

    staleness: int = 0
    n_servers: int | None = None

    provides: ClassVar = frozenset({"batches", "whole rows"})

    @property
    def reproducible(self) -> bool:
        """Whether the same fit gives the same bits."""
        return self.staleness == 0

    def check(self) -> None:
        """Raise ValueError for settings out of range."""
        check_number(self, "staleness", 0, integer=True)
        if self.n_servers is not None:
            check_number(self, "n_servers", 1, integer=True)

    def train(self, step, state, batches, epoch: int):
        """The mini-batches of an epoch, told of some at a time: see `AllReduce.train`.

        Raises
        ------
        ValueError
            If more than one server is to have parameters of which all are needed at once.
        """
        n_servers = 1 if step.whole and self.n_servers is None else self.n_servers
        if step.whole and n_servers != 1:
            raise ValueError(
                "clip_norm needs the norm of the whole gradient, which no server has where "
                f"there are n_servers={n_servers}. Use n_servers=1 or clip_norm=None."
            )
        for steps in batches.rounds(epoch):
            after, told = steps.serve(step, state, self.staleness, n_servers)
            if told[-1].failure is not None:  # older gradients may have led there; who is to blame?
                after, told = steps.run(Steps(step), state)
            state = after
            yield state, told
