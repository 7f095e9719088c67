"""A decoder of lucidrains' x-transformers, small and from scratch, on the documentation that Python carries.

The switches are those that its documentation recommends: RMSNorm, rotary positions, SwiGLU. Training is that of its
`train_enwik8.py`: Adam, clipping at 0.5.

pip install x-transformers
babysit run examples/real/x_transformers_gpt.py:trainer
"""

from pydoc_data.topics import topics

import torch
from torch.utils.data import DataLoader
from x_transformers import Decoder, TransformerWrapper

from babysit.adapters.pytorch import PyTorchTrainer


def pieces(text, length):
    tokens = torch.tensor(list(text.encode()))
    tokens = tokens[: len(tokens) // (length + 1) * (length + 1)].view(-1, length + 1)
    return [(piece[:-1], piece[1:]) for piece in tokens]


def language_loss(scores, targets):
    return torch.nn.functional.cross_entropy(scores.transpose(1, 2), targets)


def trainer(learning_rate=1e-3, length=32, batch_size=16):
    text = "\n".join(topics.values())
    train = DataLoader(pieces(text[:200_000], length), batch_size, shuffle=True, drop_last=True)
    val = DataLoader(pieces(text[200_000:220_000], length), batch_size)
    decoder = Decoder(
        dim=64, depth=2, heads=4, attn_dim_head=16, rotary_pos_emb=True, use_rmsnorm=True,
        ff_swish=True, ff_glu=True, ff_dropout=0.1, attn_flash=True,
    )  # fmt: skip
    model = TransformerWrapper(num_tokens=256, max_seq_len=length, attn_layers=decoder)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)

    def update(loss):
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()

    return PyTorchTrainer(model, language_loss, optimizer, train, val, update=update)
