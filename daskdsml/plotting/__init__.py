"""Pictures of fitted models, in scikit-learn's Display style; they need the extra ``plot``."""

from daskdsml.plotting.calibration import CalibrationDisplay
from daskdsml.plotting.coefficient_path import CoefficientPathDisplay
from daskdsml.plotting.cross_validation_path import CrossValidationPathDisplay
from daskdsml.plotting.effects import EffectDisplay
from daskdsml.plotting.gradient_flow import GradientFlowDisplay
from daskdsml.plotting.learning_curve import LearningCurveDisplay
from daskdsml.plotting.precision_recall import PrecisionRecallDisplay
from daskdsml.plotting.roc_curve import RocCurveDisplay

__all__ = [
    "CalibrationDisplay",
    "CoefficientPathDisplay",
    "CrossValidationPathDisplay",
    "EffectDisplay",
    "GradientFlowDisplay",
    "LearningCurveDisplay",
    "PrecisionRecallDisplay",
    "RocCurveDisplay",
]
