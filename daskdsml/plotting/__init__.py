"""Pictures of fitted models, in scikit-learn's Display style; they need the extra ``plot``."""

from daskdsml.plotting.coefficient_path import CoefficientPathDisplay
from daskdsml.plotting.cross_validation_path import CrossValidationPathDisplay
from daskdsml.plotting.effects import EffectDisplay

__all__ = ["CoefficientPathDisplay", "CrossValidationPathDisplay", "EffectDisplay"]
