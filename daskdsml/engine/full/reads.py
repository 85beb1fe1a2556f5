"""What passes have read of a table, and that it did not change between them."""

from __future__ import annotations

from daskdsml.engine.full.shards import Folded
from daskdsml.engine.signatures import Unchanged
from daskdsml.utils.journal import ReadSoFar

NOTHING = Folded(None)


class Reads:
    """Rows and bytes of X that ended passes have read, and the signatures of chunks."""

    def __init__(self):
        self.n_rows = self.n_bytes = 0.0
        self._unchanged = Unchanged()

    def add(self, read, before=NOTHING) -> None:
        """Take in what a pass has read that began with ``before``; ValueError if data changed."""
        self._unchanged.check(read.signatures)
        self.n_rows += read.n_rows - before.n_rows
        self.n_bytes += read.n_bytes - before.n_bytes

    def so_far(self) -> ReadSoFar:
        """What another process can `go_on` with."""
        return ReadSoFar(self.n_rows, self.n_bytes, self._unchanged.known)

    def go_on(self, earlier: ReadSoFar) -> None:
        """Count what was read before this process began."""
        self.n_rows, self.n_bytes = earlier.n_rows, earlier.n_bytes
        self._unchanged.check(earlier.signatures)
