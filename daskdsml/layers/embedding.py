"""Vectors in the place of codes. Found by name."""

from __future__ import annotations

from typing import ClassVar

from daskdsml.layers._parameters import ParameterLayer, settle_length
from daskdsml.layers._settings import from_weights, layer
from daskdsml.utils.validation import check_number


@layer
class Embedding(ParameterLayer):
    """A learned vector for each code [1]_: row ``x_t`` of the table ``E (n_tokens, units)``.

    It takes rows (T,) of codes 0, 1, ..., n_tokens - 1, as integers or whole floats, and gives
    (T, units). What stands at a masked step is not looked at: it gets the vector of code 0, which
    no layer after it may count. There is no gradient in codes, so it must be the first layer.

    Vectors begin with normal entries of variance 1, the scale of standardised features, for which
    the weights of the layers after it are drawn.

    Parameters
    ----------
    n_tokens, units : int, default=0
        Vectors, and entries of each; 0 for those of the ``weights`` given.
    weights : array (n_tokens, units) or None, default=None
        Vectors to begin with.
    trainable : bool, default=True
        Whether training changes the vectors.

    Raises
    ------
    ValueError
        If ``n_tokens`` or ``units`` is no positive integer; from ``init``, if a row is not (T,);
        from ``forward``, if a code is not one of 0, ..., n_tokens - 1, or the mask is not (n, T).

    References
    ----------
    .. [1] Bengio, Y., Ducharme, R., Vincent, P. and Jauvin, C. (2003). A neural probabilistic
       language model. Journal of Machine Learning Research 3, 1137-1155.
    """

    n_tokens: int = from_weights()
    units: int = from_weights()

    penalised: ClassVar[frozenset[str]] = frozenset({"E"})
    collective: ClassVar[bool] = False
    # There is no gradient in codes.
    first: ClassVar[bool] = True
    main = "E"
    names = ("E",)

    def __post_init__(self):
        super().__post_init__()
        E = self.given.get("E")
        if E is not None and E.ndim == 2:
            for name, length in zip(("n_tokens", "units"), E.shape, strict=True):
                settle_length(self, name, length)
        for name in ("n_tokens", "units"):
            check_number(self, name, 1, integer=True)

    def init(self, rng, in_shape):
        """Draw the table for rows of ``in_shape (T,)``; T may be None.

        Raises
        ------
        ValueError
            If rows are not sequences of codes.
        """
        if len(in_shape) != 1:
            raise ValueError(
                f"Embedding takes rows of shape (steps,), one code for each step, but got "
                f"{tuple(in_shape)}."
            )
        return {"E": rng.normal(size=(self.n_tokens, self.units))}, (*in_shape, self.units)

    def forward(self, kernels, params, x, step):
        """Vectors (n, T, units) of the codes ``x (n, T)``.

        Raises
        ------
        ValueError
            If a code is not one of the ``n_tokens``, or the shape of the mask is not that of x.
        """
        if step.mask is not None:
            if step.mask.shape != x.shape:
                raise ValueError(
                    f"The mask of codes {x.shape} must have their shape, but has {step.mask.shape}."
                )
            x = kernels.xp.where(kernels.xp.asarray(step.mask), x, 0)
        codes = self._checked(x)
        return params["E"][codes], codes

    def backward(self, kernels, params, tape, dout, grads, step):
        """Write the gradient of the summed loss in the table into ``grads``; there is no other."""
        kernels.scatter_rows(tape.reshape(-1), dout.reshape(-1, self.units), grads["E"])

    def _checked(self, x):
        # The comparisons are false for NaN.
        good = (x >= 0) & (x < self.n_tokens) & (x == x // 1)
        if not good.all():
            raise ValueError(
                f"Codes of Embedding must be whole numbers from 0 to {self.n_tokens - 1}, but x "
                f"holds {x[~good][0]}. Make n_tokens larger, or give unknown tokens a code of "
                "their own."
            )
        return x.astype(int)
