"""The door: whatever the user holds becomes aligned, named, checked blocks of rows."""

from daskdsml.data.door import Table, admit
from daskdsml.data.encode import LabelCodes

__all__ = ["LabelCodes", "Table", "admit"]
