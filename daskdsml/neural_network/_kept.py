"""Training that is kept in a checkpoint, and gone on with in another process."""

from __future__ import annotations

from contextlib import contextmanager
from typing import NamedTuple

from daskdsml.engine.identity import described, identity_of
from daskdsml.neural_network._step import StepRecord, TrainState
from daskdsml.utils.checkpoint import Checkpoint
from daskdsml.utils.journal import Journal


class Underway(NamedTuple):
    """An epoch that is not over: where training stands, what its steps met, and its seconds."""

    train_state: TrainState
    met: StepRecord = StepRecord()
    seconds: float = 0.0

    @property
    def n_steps(self) -> int:
        """Steps of the epoch, or of its longest part, that were made."""
        return self.train_state.step - self.train_state.start if self.met.n_steps else 0

    def ended(self) -> TrainState:
        """The train state that counts the rows of this epoch."""
        n_rows = self.train_state.n_rows + self.met.n_rows
        return self.train_state._replace(
            n_rows=n_rows, weight=self.train_state.weight + self.met.weight
        )


class KeptTraining:
    """Where training is kept: in a ``journal``, or nowhere for None.

    Attributes
    ----------
    interrupted : bool
        Whether Ctrl-C has ended it.
    """

    def __init__(self, journal: Journal | None, batches):
        self._journal, self._batches, self._before = journal, batches, 0
        self.interrupted = False

    @property
    def n_rows_read(self) -> int:
        """Rows of X read, those of earlier calls included."""
        return self._before + self._batches.n_rows_read

    def resumed(self):
        """Where an earlier call stood; None if there was none."""
        if self._journal is None:
            return None
        state, self._before = self._journal.resumed((None, 0))
        return state

    def is_due(self, ended=False) -> bool:
        """Whether it is time to `keep`, where an epoch has ``ended`` or not."""
        if self._journal is None:
            return False
        return self._journal.counted() if ended else not self._journal.seconds_left()

    def keep(self, state) -> None:
        """Write where training stands, whose arrays the next step may change."""
        if self._journal is not None:
            self._journal.keep_state((state, self.n_rows_read))
            self._journal.write()


@contextmanager
def kept_training(model, examples, held_out, batches):
    """`KeptTraining` of a fit, where ``checkpoint`` asks for it, until the fit is over."""
    journal, checkpoint = None, Checkpoint.of(model.checkpoint)
    if checkpoint is not None:
        facts = {} if held_out is None else {"rows for validation": described(held_out)}
        journal = Journal(checkpoint, identity_of(model, examples, **facts))
    kept = KeptTraining(journal, batches)
    yield kept
    if journal is not None and not kept.interrupted:
        journal.remove()
