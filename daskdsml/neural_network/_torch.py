"""The equivalent of a network in PyTorch, which is imported when it is asked for."""

from __future__ import annotations

from daskdsml.neural_network.network import Network, Point


def to_torch(network: Network, point: Point):
    """A `torch.nn.Sequential` that computes what ``network`` does at ``point``.

    It takes a tensor (n, *in_shape) in the network's dtype and gives raw scores, before the
    softmax or logistic function of the loss. It holds copies, in PyTorch's own modules where there
    are any, is in evaluation mode, and can be trained on after ``train()``. Differences that
    remain: PyTorch follows the variance of batches with N - 1 in place of N in its denominator;
    recurrent modules have a second bias, which is zero; masks are not taken, so sequences are to
    be as long as they are.

    Parameters
    ----------
    network : Network
    point : Point

    Returns
    -------
    torch.nn.Sequential
        One module for each layer, in their order.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    ValueError
        If a layer is none of daskdsml's own.
    """
    try:
        from daskdsml.neural_network._torch_layers import module_of, sequential
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "torch":
            raise
        raise ImportError(
            "to_torch needs PyTorch, which is not installed: pip install 'daskdsml[torch]'."
        ) from error
    params = network.views(point.theta, point.statistics)
    return sequential(
        lambda: [
            module_of(part.layer, arrays, part.in_shape)
            for part, arrays in zip(network.parts, params, strict=True)
        ]
    ).eval()
