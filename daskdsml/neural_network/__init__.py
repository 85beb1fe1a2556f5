"""Neural networks with scikit-learn's interface."""

from daskdsml.data.windows import WindowedSequences
from daskdsml.neural_network.cnn_classifier import CNNClassifier
from daskdsml.neural_network.gradient_flow import GradientFlow, gradient_flow
from daskdsml.neural_network.mlp_classifier import MLPClassifier
from daskdsml.neural_network.mlp_regressor import MLPRegressor
from daskdsml.neural_network.neural_classifier import NeuralClassifier
from daskdsml.neural_network.neural_regressor import NeuralRegressor
from daskdsml.neural_network.rnn_classifier import RNNClassifier
from daskdsml.neural_network.sequence_tagger import SequenceTagger

__all__ = [
    "CNNClassifier",
    "GradientFlow",
    "MLPClassifier",
    "MLPRegressor",
    "NeuralClassifier",
    "NeuralRegressor",
    "RNNClassifier",
    "SequenceTagger",
    "WindowedSequences",
    "gradient_flow",
]
