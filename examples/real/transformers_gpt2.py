"""Transformers' GPT-2, small and from scratch, on the documentation that Python carries, byte by byte.

pip install transformers
babysit run examples/real/transformers_gpt2.py:trainer
"""

from pydoc_data.topics import topics

import torch
from torch.utils.data import DataLoader
from transformers import GPT2Config, GPT2LMHeadModel

from babysit.adapters.pytorch import PyTorchTrainer


def pieces(text, length):
    tokens = torch.tensor(list(text.encode()))
    tokens = tokens[: len(tokens) // length * length].view(-1, length)
    return [{"input_ids": piece, "labels": piece} for piece in tokens]


def trainer(learning_rate=1e-3, length=32, batch_size=16):
    text = "\n".join(topics.values())
    train = DataLoader(pieces(text[:200_000], length), batch_size, shuffle=True, drop_last=True)
    val = DataLoader(pieces(text[200_000:220_000], length), batch_size)
    config = GPT2Config(
        vocab_size=256, n_positions=length, n_embd=64, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0
    )
    model = GPT2LMHeadModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.1)
    return PyTorchTrainer(model, None, optimizer, train, val)
