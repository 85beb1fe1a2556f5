"""The rows of the table: one function ``(setup) -> list[Line]`` each, grouped by topic.

``ROWS`` gives their names in the order they are run in and shown, the slowest last.
"""

from __future__ import annotations

from importlib import import_module

ROWS = {
    "parity": "parity",
    "logistic_memory": "in_memory",
    "logistic_scaled": "in_memory",
    "dask_ml": "cluster",
    "cluster_1024": "cluster",
    "kernel_bandwidth": "kernels",
    "tall": "least_squares",
    "moments_single": "least_squares",
    "wide": "least_squares",
    "shapes": "shapes",
    "stepwise": "least_squares",
    "inference": "least_squares",
    "starts": "starts",
    "logistic_reads": "logistic",
    "logistic_cv": "logistic",
    "logistic_l1": "logistic",
    "multinomial": "logistic",
    "logistic_tall": "logistic",
    "logistic_text": "logistic",
    "net_step": "net_step",
    "net_mlp": "net_models",
    "net_digits": "net_models",
    "net_allreduce": "net_cluster",
    "net_images": "net_cluster",
    "out_of_core": "out_of_core",
    "same_bits": "bits",
    "killed_worker": "faults",
    "first_fit": "start",
    "dask_ml_admm": "cluster",
}


def find(name: str):
    """The function of row ``name``."""
    return getattr(import_module(f"rows.{ROWS[name]}"), name)
