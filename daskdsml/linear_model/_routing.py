"""What metadata routing of scikit-learn hands on from ``fit``: to splitters and to scorers."""

from __future__ import annotations

from typing import Any, NamedTuple

from sklearn import get_config
from sklearn.metrics import get_scorer
from sklearn.model_selection import check_cv
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing


class Routed(NamedTuple):
    """What the splitter is given beside X and y, and whether scores weigh rows."""

    split: dict[str, Any]
    weighted: bool = True


def routed(estimator, sample_weight, params) -> Routed:
    """Where ``params`` of a fit go; ValueError or TypeError if nothing asks for one of them.

    Without metadata routing there may be none, and scores weigh rows. With it they do if the scorer
    asks for sample_weight.
    """
    if not get_config()["enable_metadata_routing"]:
        if params:
            raise ValueError(
                f"{type(estimator).__name__}.fit takes {sorted(params)} only with metadata "
                "routing, which hands them to the splitter. Call "
                "sklearn.set_config(enable_metadata_routing=True) before."
            )
        return Routed({})
    if sample_weight is not None:
        params = {**params, "sample_weight": sample_weight}
    if not params:  # what process_routing returns for nothing has no end when it is searched
        return Routed({})
    given = process_routing(estimator, "fit", **params)
    if "scorer" not in given:
        return Routed(dict(given.splitter.split))
    others = sorted(set(given.scorer.score) - {"sample_weight"})
    if others:
        raise ValueError(
            f"The scorer asks for {others}, but only sample_weight is handed to it. Use "
            "functools.partial or make_scorer with these set."
        )
    weighted = sample_weight is None or "sample_weight" in given.scorer.score
    return Routed(dict(given.splitter.split), weighted)


def router_of_splits(estimator, **options) -> MetadataRouter:
    """The routing of a fit with folds; ``options`` are those of ``check_cv``."""
    splitter = check_cv(estimator.cv, **options)
    mapping = MethodMapping().add(caller="fit", callee="split")
    return (
        MetadataRouter(owner=estimator)
        .add_self_request(estimator)
        .add(splitter=splitter, method_mapping=mapping)
    )


def router_of_scores(estimator, default, callers=("fit",), **options) -> MetadataRouter:
    """As `router_of_splits`, with the scorer of ``callers``, which ``default`` names for None."""
    scorer = estimator.scoring
    if scorer is None:
        # Rows that have weights are weighed in the score that nobody asked for otherwise.
        scorer = get_scorer(default).set_score_request(sample_weight=True)
    elif isinstance(scorer, str):
        scorer = get_scorer(scorer)
    mapping = MethodMapping()
    for caller in callers:
        mapping.add(caller=caller, callee="score")
    return router_of_splits(estimator, **options).add(scorer=scorer, method_mapping=mapping)
