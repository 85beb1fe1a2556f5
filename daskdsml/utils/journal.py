"""What a fit has come to, written into a checkpoint now and then, and gone on with from there."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from daskdsml.utils.checkpoint import Checkpoint, CheckpointFiles


class PassRecord(NamedTuple):
    """What a pass over the data gave, what it was for, and the seconds it took."""

    name: str
    value: Any
    seconds: float


class LoopRecord(NamedTuple):
    """Where a loop stands: passes it has made so far are no longer wanted."""

    state: Any


class Begun(NamedTuple):
    """A pass that is not over: what was summed so far, and the seconds that took."""

    sums: Any
    seconds: float


class ReadSoFar(NamedTuple):
    """Rows and bytes of X that were read of a table, and the signatures of its chunks."""

    n_rows: float
    n_bytes: float
    signatures: dict


class Contents(NamedTuple):
    """All that is in a checkpoint.

    ``identity`` names the fit it is of; ``records`` are passes and loops in their order, ``begun``
    a pass that follows them, ``tables`` what was read of each table.
    """

    identity: Any
    records: list
    begun: Begun | None
    tables: list


class Journal:
    """Passes that ended and states of loops, for a fit that is called again to go on from.

    A fit makes the same passes each time, so what it is told of those that were made before brings
    it to where it stood, without reading anything.

    Parameters
    ----------
    checkpoint : Checkpoint
    identity : `daskdsml.engine.identity.FitIdentity`
        What the fit is of; its ``check(saved, url)`` raises ValueError for the one that was saved,
        if that is another.

    Attributes
    ----------
    found : bool
        Whether there is something to go on from.
    replayed : float
        Seconds that passes took which were told anew, until somebody takes them into account.
    """

    def __init__(self, checkpoint: Checkpoint, identity):
        self._files, self._identity = CheckpointFiles(checkpoint), identity
        self._seconds, self._passes = float(checkpoint.seconds), checkpoint.passes
        self._records: list = []
        self._begun: Begun | None = None
        self._earlier: list[ReadSoFar] = []
        self._tables: list = []
        contents = self._files.read()
        self.found = contents is not None
        if contents is not None:
            identity.check(contents.identity, self._files.url)
            _, self._records, self._begun, self._earlier = contents
        self._place = self._loop = self._count = 0
        self._written, self.replayed = time.monotonic(), 0.0

    def table(self, read_so_far) -> ReadSoFar | None:
        """Keep account of a table by ``read_so_far()``; what was read of it in an earlier call."""
        self._tables.append(read_so_far)
        number = len(self._tables) - 1
        return self._earlier[number] if number < len(self._earlier) else None

    def passed(self, name: str) -> PassRecord | None:
        """The next pass, if it was made before; ``name`` is what it is for."""
        if self._place == len(self._records):
            return None
        record = self._records[self._place]
        if not isinstance(record, PassRecord) or record.name != name:
            raise self._astray()
        self._place += 1
        self.replayed += record.seconds
        return record

    def begun(self) -> Begun | None:
        """The next pass as far as it was made before."""
        return self._begun

    def keep_begun(self, sums, seconds: float) -> None:
        """Write what a pass has summed so far."""
        self._begun = Begun(sums, seconds)
        self.write()

    def keep_pass(self, name: str, value, seconds: float) -> None:
        """Keep what a pass gave, and write it if it is time to."""
        self._begun = None
        self._records.append(PassRecord(name, value, seconds))
        self._place += 1
        if self.counted():
            self.write()

    def resumed(self, state):
        """Where the loop that begins here stood in an earlier call, or ``state``."""
        self._loop = self._place
        if self._place == len(self._records) or isinstance(self._records[self._place], PassRecord):
            return state
        self._place += 1
        return self._records[self._place - 1].state

    def keep_state(self, state) -> None:
        """Keep where the loop stands instead of the passes that brought it there."""
        if self._place < len(self._records):
            raise self._astray()
        self._records[self._loop :] = [LoopRecord(state)]
        self._place = self._loop + 1

    def seconds_left(self) -> float:
        """Until it is time to write."""
        return max(self._written + self._seconds - time.monotonic(), 0.0)

    def counted(self) -> bool:
        """Count a pass, or an epoch; whether it is time to write."""
        self._count += 1
        often = self._passes is not None and self._count >= self._passes
        return often or not self.seconds_left()

    def write(self) -> None:
        """Write the checkpoint now."""
        tables = [read_so_far() for read_so_far in self._tables]
        tables += self._earlier[len(tables) :]
        self._files.write(Contents(self._identity, self._records, self._begun, tables))
        self._written, self._count = time.monotonic(), 0

    def remove(self) -> None:
        """Remove the checkpoint: the fit is over."""
        self._files.remove()

    def _astray(self) -> RuntimeError:
        return RuntimeError(
            f"The fit does not make the passes that checkpoint {self._files.url!r} has. Remove it "
            "to begin anew."
        )
