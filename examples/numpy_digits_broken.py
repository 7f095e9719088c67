"""A first attempt at `numpy_digits.py`: it runs, it prints a loss, and it doesn't learn what it should.

    babysit run examples/numpy_digits_broken.py:trainer

Spoiler, if you want to find out by yourself first: the pixels go in raw, from 0 to 16, and the weights are drawn
with `np.random.randn` as it comes, with a standard deviation of 1. The scores of the first batch are in the hundreds,
so the softmax is sure of itself and wrong before anything is learned, the loss starts where `log(p + 1e-8)` ends,
and the gradient of most examples is of no use. Divide by 16, subtract the mean, and scale the weights.
"""

import numpy as np
from sklearn.datasets import load_digits

from babysit.adapters.numpy import NumpyTrainer


class TwoLayerNet:
    """Affine, ReLU, affine, softmax."""

    def __init__(self, input_size, hidden_size, output_size):
        self.params = {
            "W1": np.random.randn(input_size, hidden_size),
            "b1": np.zeros(hidden_size),
            "W2": np.random.randn(hidden_size, output_size),
            "b2": np.zeros(output_size),
        }

    def loss(self, X, y=None, reg=0.0):
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        N = X.shape[0]

        z1 = X.dot(W1) + b1
        a1 = z1 * (z1 > 0)
        scores = a1.dot(W2) + b2
        if y is None:
            return scores

        exps = np.exp(scores - np.max(scores, axis=1, keepdims=True))
        probs = exps / np.sum(exps, axis=1, keepdims=True)
        loss = np.sum(-np.log(probs[range(N), y] + 1e-8)) / N
        loss += 0.5 * reg * (np.sum(W1**2) + np.sum(W2**2))

        dscores = probs.copy()
        dscores[range(N), y] -= 1
        dscores = dscores / N
        dz1 = dscores.dot(W2.T) * (z1 > 0)
        grads = {
            "W2": a1.T.dot(dscores) + reg * W2,
            "b2": np.sum(dscores, axis=0),
            "W1": X.T.dot(dz1) + reg * W1,
            "b1": np.sum(dz1, axis=0),
        }
        return loss, grads


def trainer(hidden=64, learning_rate=1e-2, regularization=1e-4, batch_size=50):
    X, y = load_digits(return_X_y=True)
    return NumpyTrainer(
        TwoLayerNet(64, hidden, 10),
        (X[:1400], y[:1400]),
        (X[1400:], y[1400:]),
        task="classification",
        learning_rate=learning_rate,
        regularization=regularization,
        batch_size=batch_size,
    )


def main(epochs=20):
    np.random.seed(0)
    program = trainer()
    for epoch in range(epochs):
        losses = [program.step(batch).loss for batch in program.batches()]
        print(f"epoch {epoch}: loss {np.mean(losses):.3f}")


if __name__ == "__main__":
    main()
