"""Mean recall of the classes."""

from daskdsml.metrics._classes import MacroAverage, recall


class RecallMacro(MacroAverage):
    """Mean over the classes that occur or are predicted of what `Recall` is for one of them.

    A class that is predicted but never occurs counts 0, as in scikit-learn; `BalancedAccuracy`
    leaves it out.
    """

    score = staticmethod(recall)
