"""A character-level transformer, after nanoGPT, on sentences that a little grammar makes.

babysit run examples/torch_transformer.py:trainer
python examples/torch_transformer.py
"""

import random

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from babysit.adapters.pytorch import PyTorchTrainer

WORDS = {
    "who": ["the cat", "the old man", "a small bird", "my sister", "every child", "the king", "a tall stranger"],
    "does": ["sees", "follows", "loves", "forgets", "paints", "finds", "carries"],
    "whom": ["the moon", "a red boat", "the river", "an apple", "two stones", "his hat", "a letter"],
    "when": ["at night", "in the morning", "after the rain", "before dinner", "by the sea"],
}


def write(sentences, seed=0):
    """A text of sentences such as "the cat sees a red boat at night."."""
    draw = random.Random(seed)
    said = []
    for _ in range(sentences):
        who, does, whom, when = (draw.choice(words) for words in WORDS.values())
        plain = f"{who} {does} {whom}"
        said.append(draw.choice([f"{plain}.", f"{plain} {when}.", f"{when}, {plain}."]))
    return "\n".join(said)


class Characters(Dataset):
    """Pieces of a text, and the same pieces one character on."""

    def __init__(self, tokens, length):
        self.tokens, self.length = tokens, length

    def __len__(self):
        return (len(self.tokens) - 1) // self.length

    def __getitem__(self, i):
        start = i * self.length
        piece = self.tokens[start : start + self.length + 1]
        return piece[:-1], piece[1:]


class Block(nn.Module):
    """Causal self-attention and a two-layer network, each beside a way past it."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width, bias=False)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        x = x + self.drop(self.proj(self.attend(self.norm1(x))))
        return x + self.drop(self.down(nn.functional.gelu(self.up(self.norm2(x)))))

    def drop(self, x):
        return nn.functional.dropout(x, self.dropout, self.training)

    def attend(self, x):
        N, T, D = x.shape
        q, k, v = (part.view(N, T, self.heads, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        p = self.dropout if self.training else 0.0
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=True)
        return mixed.transpose(1, 2).reshape(N, T, D)


class GPT(nn.Module):
    """Tokens and places, blocks, and scores for the next token; the token table is the last layer's weight too."""

    def __init__(self, vocabulary, length=32, width=64, heads=4, layers=2, dropout=0.1):
        super().__init__()
        self.length, self.dropout = length, dropout
        self.tokens = nn.Embedding(vocabulary, width)
        self.places = nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight
        self.initialize(layers)

    def initialize(self, layers):
        """As GPT-2 does: 0.02 for all matrices, less for those that add to the way past."""
        for name, p in self.named_parameters():
            if p.dim() > 1:
                adds = name.endswith(("proj.weight", "down.weight"))
                nn.init.normal_(p, std=0.02 / (2 * layers) ** 0.5 if adds else 0.02)

    def forward(self, x):
        h = self.tokens(x) + self.places(torch.arange(x.shape[1], device=x.device))
        h = nn.functional.dropout(h, self.dropout, self.training)
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h))


def language_loss(scores, targets):
    return nn.functional.cross_entropy(scores.flatten(0, 1), targets.flatten())


def groups(model, weight_decay):
    """Decay for matrices, none for the norms' gains and shifts."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]


class Program:
    """All that training needs, the same for `trainer` and `main`."""

    def __init__(self, model_class=GPT, learning_rate=3e-3, weight_decay=0.1, batch_size=16, length=32):
        text = write(3000)
        self.letters = sorted(set(text))
        tokens = torch.tensor([self.letters.index(letter) for letter in text])
        cut = len(tokens) * 9 // 10
        self.train = DataLoader(Characters(tokens[:cut], length), batch_size, shuffle=True)
        self.val = DataLoader(Characters(tokens[cut:], length), batch_size)
        self.model = model_class(len(self.letters), length)
        self.optimizer = torch.optim.AdamW(groups(self.model, weight_decay), lr=learning_rate, betas=(0.9, 0.95))

    def update(self, loss):
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()

    @torch.no_grad()
    def sample(self, start="\n", length=200):
        self.model.eval()
        tokens = [self.letters.index(letter) for letter in start]
        for _ in range(length):
            scores = self.model(torch.tensor([tokens[-self.model.length :]]))[0, -1]
            tokens.append(torch.multinomial(scores.softmax(-1), 1).item())
        self.model.train()
        return "".join(self.letters[token] for token in tokens)


def trainer(learning_rate=3e-3, weight_decay=0.1, batch_size=16):
    program = Program(GPT, learning_rate, weight_decay, batch_size)
    return PyTorchTrainer(
        program.model, language_loss, program.optimizer, program.train, program.val, update=program.update
    )


def main(epochs=3, model_class=GPT):
    torch.manual_seed(0)
    program = Program(model_class)
    for epoch in range(epochs):
        for step, (X, y) in enumerate(program.train):
            loss = language_loss(program.model(X), y)
            program.update(loss)
            if step % 50 == 0:
                print(f"epoch {epoch}, step {step}: loss {loss.item():.3f}")
    print(program.sample())


if __name__ == "__main__":
    main()
