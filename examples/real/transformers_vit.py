"""Transformers' Vision Transformer, small and from scratch, on scikit-learn's bundled digits.

pip install transformers scikit-learn
babysit run examples/real/transformers_vit.py:trainer
"""

import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader
from transformers import ViTConfig, ViTForImageClassification

from babysit.adapters.pytorch import PyTorchTrainer


def trainer(learning_rate=1e-3, batch_size=64):
    images, labels = load_digits(return_X_y=True)
    X = torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8) / 16
    X = (X - 0.5) / 0.5  # as its image processor does
    data = [{"pixel_values": x, "labels": label} for x, label in zip(X, torch.tensor(labels), strict=True)]
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0)).tolist()
    train = DataLoader([data[i] for i in order[:1400]], batch_size, shuffle=True, drop_last=True)
    val = DataLoader([data[i] for i in order[1400:]], batch_size)
    config = ViTConfig(
        image_size=8, patch_size=2, num_channels=1, num_labels=10,
        hidden_size=64, num_hidden_layers=3, num_attention_heads=4, intermediate_size=128,
    )  # fmt: skip
    model = ViTForImageClassification(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.05)
    return PyTorchTrainer(model, None, optimizer, train, val)
