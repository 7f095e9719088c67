"""A classifier of tumours on scikit-learn's bundled breast cancer table: thirty columns, from 0.001 to 4254.

babysit run examples/torch_tabular.py:trainer
python examples/torch_tabular.py
"""

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from babysit.adapters.pytorch import PyTorchTrainer


def load():
    """Training and validation rows, 426 and 143, both scaled by what the training rows are like."""
    X, y = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    train, val = order[:426], order[426:]
    scaler = StandardScaler().fit(X[train])
    return (scaler.transform(X[train]), y[train]), (scaler.transform(X[val]), y[val])


def loader(X, y, **options):
    """Batches of rows (N, 30) and answers (N, 1)."""
    data = TensorDataset(torch.tensor(X, dtype=torch.float32), torch.tensor(y[:, None], dtype=torch.float32))
    return DataLoader(data, **options)


def network(hidden=32):
    return nn.Sequential(nn.Linear(30, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))


def trainer(hidden=32, learning_rate=3e-3):
    train, val = load()
    model = network(hidden)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=1e-2)
    return PyTorchTrainer(
        model,
        nn.BCEWithLogitsLoss(),
        optimizer,
        loader(*train, batch_size=32, shuffle=True),
        loader(*val, batch_size=143),
    )


def main(epochs=20):
    torch.manual_seed(0)
    program = trainer()
    for _ in range(epochs):
        for batch in program.batches():
            program.step(batch)
    X, y = next(iter(program.batches("val")))
    accuracy = ((program.evaluate((X, y)).scores > 0) == (y > 0.5)).double().mean()
    print(f"validation accuracy {accuracy:.3f} after {epochs} epochs")


if __name__ == "__main__":
    main()
