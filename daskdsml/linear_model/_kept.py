"""Passes of a fit that are kept in a checkpoint."""

from __future__ import annotations

from contextlib import contextmanager

from daskdsml.engine.identity import identity_of
from daskdsml.linear_model._base import passes_over
from daskdsml.utils.checkpoint import Checkpoint
from daskdsml.utils.journal import Journal


@contextmanager
def kept_passes(estimator, table, solver=None, label=None, strategy=None, brief=False, **identity):
    """`passes_over` of a fit, kept where a ``checkpoint`` is asked for, until the fit is over.

    ``identity`` is what else the fit is of; a ``brief`` one is not kept.
    """
    journal = None
    checkpoint = Checkpoint.of(getattr(estimator, "checkpoint", None))
    if checkpoint is not None and not brief:
        journal = Journal(checkpoint, identity_of(estimator, table, **identity))
    with passes_over(estimator, table, solver, label, strategy, journal) as passes:
        passes.progress.ends_early = True
        try:
            yield passes
        except KeyboardInterrupt:
            if journal is not None:
                journal.write()
            raise
        if journal is not None and passes.progress.interrupted:
            journal.write()
        elif journal is not None:
            journal.remove()
