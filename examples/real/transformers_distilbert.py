"""Transformers' DistilBERT for sequences, small and from scratch: prose, a program, or names of characters.

Fine-tuning as its documentation has it: AdamW, a linear warm-up, clipping.

pip install transformers
babysit run examples/real/transformers_distilbert.py:trainer
"""

import argparse
import inspect
import random
import unicodedata
from pydoc_data.topics import topics

import torch
from torch.utils.data import DataLoader
from transformers import DistilBertConfig, DistilBertForSequenceClassification, get_linear_schedule_with_warmup

from babysit.adapters.pytorch import PyTorchTrainer

PAD, LENGTH = 0, 48


def texts():
    """Pieces of what Python carries, of 20 to 48 characters, and which of the three sources each is from."""
    names = " ".join(unicodedata.name(chr(code), "") for code in range(0x3000))
    rng = random.Random(0)
    for label, text in enumerate(("\n".join(topics.values()), inspect.getsource(argparse), names)):
        for _ in range(600):
            start, length = rng.randrange(90_000), rng.randint(20, LENGTH)
            yield text[start : start + length], label


def collate(pairs):
    """Bytes, padded to the longest."""
    ids = [torch.tensor(list(text.encode("ascii", "replace"))) for text, _ in pairs]
    ids = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=PAD)
    labels = torch.tensor([label for _, label in pairs])
    return {"input_ids": ids, "attention_mask": (ids != PAD).long(), "labels": labels}


def trainer(learning_rate=5e-4, batch_size=32, epochs=5):
    data = list(texts())
    random.Random(1).shuffle(data)
    train = DataLoader(data[:1500], batch_size, shuffle=True, collate_fn=collate)
    val = DataLoader(data[1500:], batch_size, collate_fn=collate)
    config = DistilBertConfig(
        vocab_size=256, max_position_embeddings=LENGTH, dim=64, n_layers=2, n_heads=4, hidden_dim=256, num_labels=3
    )
    model = DistilBertForSequenceClassification(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.01)
    steps = epochs * len(train)
    schedule = get_linear_schedule_with_warmup(optimizer, num_warmup_steps=steps // 10, num_training_steps=steps)

    def update(loss):
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()

    return PyTorchTrainer(model, None, optimizer, train, val, update=update, stateful=[schedule])
