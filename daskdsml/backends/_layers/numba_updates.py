"""Kernels of mini-batch solvers in compiled loops: one walk through the arrays for a step."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from daskdsml.backends import _scalar

# "reassoc" lets LLVM sum in vector lanes; NaN and infinity keep their meaning.
FAST = {"fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy"}
KERNEL = {"nogil": True, "cache": True, **FAST}


@njit(**KERNEL)
def _scale(gradient, factor):
    factor = gradient.dtype.type(factor)
    for j in range(gradient.size):
        gradient[j] *= factor


@njit(**KERNEL)
def _complete(gradient, theta, scale, factor, l1, l2):
    real = theta.dtype.type
    factor, slope_1, slope_2 = real(factor), real(l1), real(l2)
    sizes = squares = norm = 0.0
    for j in range(theta.size):
        g = factor * gradient[j] + scale[j] * slope_2 * theta[j]
        # LLVM takes the branch out of the loop: few penalties have an l1.
        if slope_1 != 0:
            g += scale[j] * slope_1 * _scalar.sign(theta[j])
            sizes += np.float64(scale[j] * math.fabs(theta[j]))
        squares += np.float64(scale[j] * theta[j]) * np.float64(theta[j])
        norm += np.float64(g) * np.float64(g)
        gradient[j] = g
    return l1 * sizes + 0.5 * l2 * squares, norm


@njit(**KERNEL)
def _gradient_descent(theta, gradient, rate):
    rate = theta.dtype.type(rate)
    for j in range(theta.size):
        theta[j] -= rate * gradient[j]


@njit(**KERNEL)
def _momentum(theta, gradient, velocity, rate, momentum):
    real = theta.dtype.type
    rate, momentum = real(rate), real(momentum)
    for j in range(theta.size):
        velocity[j] = momentum * velocity[j] + gradient[j]
        theta[j] -= rate * velocity[j]


@njit(**KERNEL)
def _nesterov(theta, gradient, velocity, rate, momentum):
    real = theta.dtype.type
    rate, momentum = real(rate), real(momentum)
    for j in range(theta.size):
        velocity[j] = momentum * velocity[j] + gradient[j]
        theta[j] -= rate * (gradient[j] + momentum * velocity[j])


@njit(**KERNEL)
def _rmsprop(theta, gradient, square, rate, decay, epsilon):
    real = theta.dtype.type
    rate, kept, share, epsilon = real(rate), real(decay), real(1.0 - decay), real(epsilon)
    for j in range(theta.size):
        g = gradient[j]
        square[j] = kept * square[j] + share * g * g
        theta[j] -= rate * g / (math.sqrt(square[j]) + epsilon)


@njit(**KERNEL)
def _adagrad(theta, gradient, total, rate, epsilon):
    real = theta.dtype.type
    rate, epsilon = real(rate), real(epsilon)
    for j in range(theta.size):
        g = gradient[j]
        total[j] += g * g
        theta[j] -= rate * g / (math.sqrt(total[j]) + epsilon)


@njit(**KERNEL)
def _adam(theta, gradient, mean, square, rate, beta_1, beta_2, root, epsilon):
    real = theta.dtype.type
    rate, root, epsilon = real(rate), real(root), real(epsilon)
    kept_1, share_1 = real(beta_1), real(1.0 - beta_1)
    kept_2, share_2 = real(beta_2), real(1.0 - beta_2)
    for j in range(theta.size):
        g = gradient[j]
        mean[j] = kept_1 * mean[j] + share_1 * g
        square[j] = kept_2 * square[j] + share_2 * g * g
        theta[j] -= rate * mean[j] / (root * math.sqrt(square[j]) + epsilon)


class NumbaUpdates:
    """Compiled kernels of mini-batch solvers; what they compute stands at `ArrayUpdates`."""

    complete = staticmethod(_complete)
    scale = staticmethod(_scale)
    gradient_descent = staticmethod(_gradient_descent)
    momentum = staticmethod(_momentum)
    nesterov = staticmethod(_nesterov)
    rmsprop = staticmethod(_rmsprop)
    adagrad = staticmethod(_adagrad)
    adam = staticmethod(_adam)
