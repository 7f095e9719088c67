"""A small convolutional network with batch norm, on scikit-learn's bundled digits of 8 x 8 pixels.

babysit run examples/torch_cnn.py:trainer
python examples/torch_cnn.py
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from babysit.adapters.pytorch import PyTorchTrainer


class ConvNet(nn.Module):
    """Three convolutions, each with batch norm and ReLU, and an affine map."""

    def __init__(self, width=16, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1, stride=2, bias=False)
        self.bn2 = nn.BatchNorm2d(2 * width)
        self.conv3 = nn.Conv2d(2 * width, 2 * width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(2 * width)
        self.fc = nn.Linear(2 * width * 4 * 4, classes)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))  # (N, 16, 8, 8)
        x = torch.relu(self.bn2(self.conv2(x)))  # (N, 32, 4, 4)
        x = torch.relu(self.bn3(self.conv3(x)))
        return self.fc(x.flatten(1))


def load(batch_size):
    """Loaders of training and validation digits, standardized with the training pixels' mean and spread."""
    images, labels = load_digits(return_X_y=True)
    X = torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8)
    y = torch.tensor(labels)
    order = torch.randperm(len(X), generator=torch.Generator().manual_seed(0))
    train, val = order[:1400], order[1400:]
    X = (X - X[train].mean()) / X[train].std()
    return (
        DataLoader(TensorDataset(X[train], y[train]), batch_size, shuffle=True, drop_last=True),
        DataLoader(TensorDataset(X[val], y[val]), batch_size),
    )


def build(model_class=ConvNet, width=16, learning_rate=0.1, weight_decay=5e-4):
    model = model_class(width)
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=0.9, weight_decay=weight_decay)
    return model, optimizer


def trainer(width=16, learning_rate=0.1, weight_decay=5e-4, batch_size=64):
    model, optimizer = build(ConvNet, width, learning_rate, weight_decay)
    train, val = load(batch_size)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, train, val)


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        right = sum((model(X).argmax(dim=1) == y).sum().item() for X, y in loader)
    model.train()
    return right / len(loader.dataset)


def main(model_class=ConvNet, epochs=10, batch_size=64):
    torch.manual_seed(0)
    model, optimizer = build(model_class)
    train, val = load(batch_size)
    for epoch in range(epochs):
        for X, y in train:
            loss = nn.functional.cross_entropy(model(X), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch}: loss {loss.item():.4f}, validation accuracy {accuracy(model, val):.3f}")


if __name__ == "__main__":
    main()
