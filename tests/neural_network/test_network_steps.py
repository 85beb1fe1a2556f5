"""Labels of time steps: weights of each, and the loss at each."""

import dask.array as da
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from daskdsml.layers.dense import Dense
from daskdsml.layers.gru import GRU
from daskdsml.neural_network import SequenceTagger


def sequences(n=60, T=5, seed=0):
    """Sequences (n, T, 2) with one of three labels for each step, weights and masks of steps."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, T, 2))
    y = np.digitize(np.cumsum(X[..., 0], axis=1), [-0.7, 0.7])
    return X, y, 9.0 * rng.random((n, T)), np.arange(T) < rng.integers(1, T + 1, size=n)[:, None]


def tagger(**settings):
    layers = [GRU(4, return_sequences=True), Dense(3)]
    settings = {"max_iter": 3, "dtype": "float64", "batch_size": 20} | settings
    return SequenceTagger(layers, **settings)


def thetas(model):
    return np.concatenate([a.ravel() for part in model.weights_ for a in part.values()])


def test_weights_of_steps_are_masks_where_they_are_zeros_and_ones():
    X, y, _, mask = sequences()
    weighed = tagger(class_weight={0: 3.0}).fit(X, y, sample_weight=mask.astype(float))
    # A mask also keeps states as they are; where it hides the last steps alone, nobody sees that.
    masked = tagger(class_weight={0: 3.0}).fit(X, y, mask=mask)
    np.testing.assert_allclose(thetas(weighed), thetas(masked), rtol=1e-10)
    np.testing.assert_allclose(
        weighed.score(X, y, sample_weight=mask.astype(float)), masked.score(X, y, mask=mask)
    )


def test_weights_of_steps_in_chunks_with_masks():
    X, y, w, mask = sequences()
    model = tagger(shuffle=False).fit(X, y, sample_weight=w, mask=mask)
    Xd, yd, wd, maskd = (da.from_array(a, chunks=(25, *a.shape[1:])) for a in (X, y, w, mask))
    lazily = tagger(shuffle=False).fit(Xd, yd, sample_weight=wd.rechunk((30, 2)), mask=maskd)
    np.testing.assert_allclose(thetas(lazily), thetas(model), rtol=1e-10)
    expected = accuracy_score(y[mask], model.predict(X, mask=mask)[mask], sample_weight=w[mask])
    for data in ((X, y, w, mask), (Xd, yd, wd, maskd)):
        np.testing.assert_allclose(model.score(*data), expected)
    rows = tagger().fit(X, y, sample_weight=np.repeat(w[:, :1], 5, axis=1))
    np.testing.assert_allclose(thetas(rows), thetas(tagger().fit(X, y, w[:, 0])), rtol=1e-10)
    stopped = tagger(early_stopping=True).fit(X, y, sample_weight=w)
    assert len(stopped.validation_scores_) == 3


def test_the_loss_at_each_step(tmp_path):
    X, y, w, mask = sequences()
    mask[:, 4] = False
    # One step that changes nothing: losses are those of the first weights.
    model = tagger(batch_size=17, max_iter=1, learning_rate_init=1e-30)
    model.fit(X, y, sample_weight=w, mask=mask)
    p = model.predict_proba(X, mask=mask)
    expected = [
        log_loss(y[m, t], p[m, t], sample_weight=w[m, t], labels=[0, 1, 2])
        for t, m in enumerate(mask.T[:4])
    ]
    losses = model.history_[-1].step_losses
    np.testing.assert_allclose(losses, [*expected, np.nan], rtol=1e-10)
    share = (w * mask).sum(axis=0)[:4]
    np.testing.assert_allclose(np.average(losses[:4], weights=share), model.loss_, rtol=1e-12)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(
        SequenceTagger.load(tmp_path / "model").history_[-1].step_losses, losses
    )
    plain = tagger(backend="numba").fit(X, y)
    np.testing.assert_allclose(np.mean(plain.history_[-1].step_losses), plain.loss_, rtol=1e-12)


@pytest.mark.parametrize("shape", [(60, 4), (60, 5, 1), (59, 5)])
def test_weights_of_another_shape_are_refused(shape):
    X, y, _, _ = sequences()
    with pytest.raises(ValueError, match="[Ss]ample.weight"):
        tagger().fit(X, y, sample_weight=np.ones(shape))
