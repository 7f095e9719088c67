"""A two-layer network by hand, as the course's first assignment has it, on scikit-learn's bundled digits.

babysit run examples/numpy_digits.py:trainer
python examples/numpy_digits.py
"""

import numpy as np
from sklearn.datasets import load_digits

from babysit.adapters.numpy import NumpyTrainer


class TwoLayerNet:
    """Affine, ReLU, affine, softmax."""

    def __init__(self, input_size, hidden_size, output_size):
        self.params = {
            "W1": np.random.randn(input_size, hidden_size) * np.sqrt(2 / input_size),
            "b1": np.zeros(hidden_size),
            "W2": np.random.randn(hidden_size, output_size) * 0.1 / np.sqrt(hidden_size),
            "b2": np.zeros(output_size),
        }

    def loss(self, X, y=None, reg=0.0):
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        N = X.shape[0]

        hidden = np.maximum(0, X.dot(W1) + b1)  # (N, H)
        scores = hidden.dot(W2) + b2  # (N, C)
        if y is None:
            return scores

        shifted = scores - scores.max(axis=1, keepdims=True)
        probs = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
        loss = -np.log(probs[np.arange(N), y]).mean()
        loss += reg * (np.sum(W1 * W1) + np.sum(W2 * W2))

        dscores = probs.copy()
        dscores[np.arange(N), y] -= 1
        dscores /= N
        dhidden = dscores.dot(W2.T)
        dhidden[hidden <= 0] = 0
        grads = {
            "W1": X.T.dot(dhidden) + 2 * reg * W1,
            "b1": dhidden.sum(axis=0),
            "W2": hidden.T.dot(dscores) + 2 * reg * W2,
            "b2": dscores.sum(axis=0),
        }
        return loss, grads


def load():
    """Training and validation digits: pixels from 0 to 1, less the training pixels' mean."""
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    train, val = order[:1400], order[1400:]
    X = X / 16
    X = X - X[train].mean(axis=0)
    return (X[train], y[train]), (X[val], y[val])


def trainer(hidden=64, learning_rate=1.0, regularization=1e-4, batch_size=50):
    train, val = load()
    return NumpyTrainer(
        TwoLayerNet(64, hidden, 10),
        train,
        val,
        task="classification",
        learning_rate=learning_rate,
        regularization=regularization,
        batch_size=batch_size,
    )


def main(epochs=20):
    np.random.seed(0)
    program = trainer()
    for _ in range(epochs):
        for batch in program.batches():
            program.step(batch)
    X, y = load()[1]
    accuracy = (program.model.loss(X).argmax(axis=1) == y).mean()
    print(f"validation accuracy {accuracy:.3f} after {epochs} epochs")


if __name__ == "__main__":
    main()
