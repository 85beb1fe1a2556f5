"""Linear models with scikit-learn's interface."""

from daskdsml.linear_model.elastic_net import ElasticNet
from daskdsml.linear_model.elastic_net_cv import ElasticNetCV
from daskdsml.linear_model.gamma_regressor import GammaRegressor
from daskdsml.linear_model.huber_regressor import HuberRegressor
from daskdsml.linear_model.lasso import Lasso
from daskdsml.linear_model.lasso_cv import LassoCV
from daskdsml.linear_model.linear_regression import LinearRegression
from daskdsml.linear_model.logistic_regression import LogisticRegression
from daskdsml.linear_model.logistic_regression_cv import LogisticRegressionCV
from daskdsml.linear_model.paths import Path, enet_path, lasso_path, ridge_path
from daskdsml.linear_model.poisson_regressor import PoissonRegressor
from daskdsml.linear_model.ridge import Ridge
from daskdsml.linear_model.ridge_cv import RidgeCV
from daskdsml.linear_model.sgd_classifier import SGDClassifier
from daskdsml.linear_model.sgd_regressor import SGDRegressor

__all__ = [
    "ElasticNet",
    "ElasticNetCV",
    "GammaRegressor",
    "HuberRegressor",
    "Lasso",
    "LassoCV",
    "LinearRegression",
    "LogisticRegression",
    "LogisticRegressionCV",
    "Path",
    "PoissonRegressor",
    "Ridge",
    "RidgeCV",
    "SGDClassifier",
    "SGDRegressor",
    "enet_path",
    "lasso_path",
    "ridge_path",
]
