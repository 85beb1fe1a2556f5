"""Mean F1 of the classes, each against the rest."""

from daskdsml.metrics._classes import MacroAverage, f1


class F1Macro(MacroAverage):
    """Mean over the classes that occur or are predicted of what `F1` is for one of them."""

    score = staticmethod(f1)
