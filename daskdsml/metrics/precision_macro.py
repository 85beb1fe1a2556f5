"""Mean precision of the classes."""

from daskdsml.metrics._classes import MacroAverage, precision


class PrecisionMacro(MacroAverage):
    """Mean over the classes that occur or are predicted of what `Precision` is for one of them.

    A class that occurs but is never predicted counts 0, as in scikit-learn.
    """

    score = staticmethod(precision)
