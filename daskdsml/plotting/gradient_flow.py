"""Norms of gradients, by time step and by layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from daskdsml.neural_network.gradient_flow import GradientFlow, gradient_flow
from daskdsml.plotting._axes import LEGEND, MARKERS, axes_for, count_from_one

STYLES = ("-", "--", ":", "-.")


class GradientFlowDisplay:
    """Norms of the mean loss's gradient on logarithmic axes: by time step and by layer.

    A line for each recurrent layer shows the gradient in its states after each time step: one that
    falls towards the first steps vanishes, one that rises explodes. Bars show the gradient in the
    parameters of each layer, from the first at the top to the last. Of several models each has a
    colour and a mark of its own. Norms of zero (and those that are not finite) have no place on a
    logarithmic axis: lines leave them out, and in place of a bar stands the number.

    Parameters
    ----------
    flows : dict of `daskdsml.neural_network.GradientFlow`, by name of the model

    Attributes
    ----------
    ax_ : matplotlib Axes of the layers
    ax_steps_ : matplotlib Axes of the time steps, or None without recurrent layers
    figure_ : matplotlib Figure
    lines_ : dict of dicts of Line2D, by name of the model and of the layer
    bars_ : dict of BarContainer, by name of the model
    """

    def __init__(self, flows):
        if not isinstance(flows, dict) or not flows:
            raise ValueError(
                "flows must be a dict of at least one GradientFlow, by the names to be shown, got "
                f"{flows!r}. Pass {{'name': gradient_flow(model, X, y)}}."
            )
        self.flows = flows

    @classmethod
    def from_estimator(cls, model, X, y, mask=None, sample_weight=None):
        """From a neural estimator, or from several to be compared.

        Parameters
        ----------
        model : estimator of daskdsml.neural_network, fitted or not, or dict of them by name
        X, y, mask, sample_weight : as for `daskdsml.neural_network.gradient_flow`
            Each model takes one read of X.
        """
        models = model if isinstance(model, dict) else {"": model}
        flows = {name: gradient_flow(m, X, y, mask, sample_weight) for name, m in models.items()}
        return cls(flows)

    @classmethod
    def from_flows(cls, flows):
        """From what `daskdsml.neural_network.gradient_flow` returned.

        Parameters
        ----------
        flows : GradientFlow, or dict of them by name
        """
        return cls({"": flows} if isinstance(flows, GradientFlow) else flows)

    def plot(self, ax=None):
        """Draw on ``ax``, or on new axes; returns self.

        With recurrent layers two axes are needed: for time steps and for layers.
        """
        self._place(ax)
        self.lines_, self.bars_ = {}, {}
        if self.ax_steps_ is not None:
            self._draw_steps()
        self._draw_layers()
        return self

    def _place(self, ax) -> None:
        """The axes of time steps, if any, and of layers."""
        n_axes = 1 + any(flow.steps for flow in self.flows.values())
        if ax is None:
            n_bars = sum(len(flow.layers) for flow in self.flows.values())
            height = max(4.0, 0.26 * n_bars + 1.2)
            _, ax = axes_for(None, figsize=(5.4 * n_axes, height), ncols=n_axes)
        axes = np.ravel(ax)
        if len(axes) != n_axes:
            what = ("one, of layers", "two, of time steps and of layers")[n_axes - 1]
            raise ValueError(
                f"Expected as many axes as these flows need ({what}), got {len(axes)}. Pass "
                f"pyplot.subplots(ncols={n_axes})[1], or ax=None."
            )
        self.ax_steps_: Any = axes[0] if n_axes == 2 else None
        self.ax_ = axes[-1]
        self.figure_ = self.ax_.figure

    def _draw_steps(self) -> None:
        ax = self.ax_steps_
        ax.set_yscale("log")
        for i, (name, flow) in enumerate(self.flows.items()):
            drawn = self.lines_[name] = {}
            for j, (layer, norms) in enumerate(flow.steps.items()):
                alone = name and len(flow.steps) == 1
                (drawn[layer],) = ax.plot(
                    np.arange(1, len(norms) + 1), np.where(norms > 0.0, norms, np.nan),
                    color=f"C{i}", ls=STYLES[j % len(STYLES)], lw=1.5,
                    marker=MARKERS[i % len(MARKERS)], ms=5.0, markevery=max(1, len(norms) // 8),
                    label=name if alone else _label(name, layer),
                )  # fmt: skip
        count_from_one(ax)
        ax.set(xlabel="time step", ylabel="norm of the gradient in the states")
        ax.legend(**LEGEND)

    def _draw_layers(self) -> None:
        """Bars from the top to the bottom, a gap between models."""
        from matplotlib.ticker import NullFormatter

        ax, ticks, labels, top = self.ax_, [], [], 0.0
        # Bars of a logarithmic axis have no natural start: they begin below the shortest.
        low = _below(np.concatenate([flow.norms for flow in self.flows.values()]))
        ax.set_xscale("log")
        ax.xaxis.set_minor_formatter(NullFormatter())
        for i, (name, flow) in enumerate(self.flows.items()):
            rows = top + np.arange(len(flow.layers))
            shown = np.isfinite(flow.norms) & (flow.norms > 0.0)
            widths = np.where(shown, flow.norms - low, 0.0)
            self.bars_[name] = ax.barh(rows, widths, left=low, color=f"C{i}", height=0.8)
            for row, norm in zip(rows[~shown], flow.norms[~shown], strict=True):
                ax.text(low, row, f" {norm:g}", va="center")
            ticks += rows.tolist()
            top = rows[-1] + 1.6
            labels += [_label(name, layer) for layer in flow.layers]
        ax.set_xlim(left=low)
        ax.set_yticks(ticks, labels)
        ax.set_ylim(top - 1.0, -0.6)
        ax.set_xlabel("norm of the gradient in the parameters")


def _below(norms) -> float:
    """A power of ten, by ten to a hundred times below the smallest norm above 0."""
    norms = norms[np.isfinite(norms) & (norms > 0.0)]
    return 10.0 ** (np.floor(np.log10(norms.min())) - 1.0) if len(norms) else 0.1


def _label(name, layer) -> str:
    return f"{name}: {layer}" if name else layer
