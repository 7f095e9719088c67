"""What babysit adds to a PyTorch program, beside a bare loop and the field's learning-rate finders.

    python benchmarks/pytorch.py [scan|trace|memory|state ...]

Ratios are medians over alternating repeats in one process, of the thread's own processor time: machines are noisy, and
ratios on one of them are what can be compared. Peers that aren't installed are left out.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import contextlib
import copy
import importlib.util
import io
import itertools
import logging
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.nn.functional import cross_entropy, gelu, scaled_dot_product_attention
from torch.utils.data import DataLoader

from babysit.adapters.pytorch import PyTorchTrainer
from babysit.driving.bench import Bench
from babysit.measuring.layers import look
from babysit.measuring.unit_statistics import UnitStatistics
from babysit.trainer import ForwardOnly, Record

torch.set_num_threads(1)
LENGTH = 64  # of the sequences
Batches = list[tuple[torch.Tensor, torch.Tensor]]


def mlp(*sizes: int) -> nn.Sequential:
    layers = [layer for a, b in itertools.pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def cnn() -> nn.Sequential:
    def block(a: int, b: int) -> list[nn.Module]:
        return [nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU()]

    pool, flat = nn.MaxPool2d(2), nn.Flatten()
    return nn.Sequential(*block(3, 32), *block(32, 32), pool, *block(32, 64), pool, flat, nn.Linear(64 * 64, 10))


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, d = x.shape
        q, k, v = (z.view(n, t, self.heads, -1).transpose(1, 2) for z in self.qkv(self.norm1(x)).chunk(3, dim=-1))
        mixed = scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(n, t, d)
        x = x + self.out(mixed)
        return x + self.down(gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, vocabulary: int = 256, width: int = 192, depth: int = 4, heads: int = 6) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(LENGTH, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.blocks(self.tokens(x) + self.places.weight[: x.shape[1]])))


def flat_cross_entropy(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return cross_entropy(scores.flatten(0, 1), targets.flatten())


def images(size: int, count: int = 8) -> Batches:
    return [(torch.randn(size, 3, 32, 32), torch.randint(0, 10, (size,))) for _ in range(count)]


def vectors(size: int, width: int, count: int = 8) -> Batches:
    return [(torch.randn(size, width), torch.randint(0, 10, (size,))) for _ in range(count)]


def tokens(size: int, length: int, vocabulary: int, count: int = 8) -> Batches:
    draw = [torch.randint(0, vocabulary, (size, length + 1)) for _ in range(count)]
    return [(x[:, :-1], x[:, 1:]) for x in draw]


def bare_step(model: nn.Module, loss: Callable, optimizer: torch.optim.Optimizer, batch: tuple) -> float:
    x, y = batch
    optimizer.zero_grad()
    value = loss(model(x), y)
    value.backward()
    optimizer.step()
    return value.item()


def paired(repeats: int, *runs: Callable[[], object]) -> tuple[float, list[float]]:
    """Seconds of the first, and how many times as long each of the others takes: medians of alternating repeats."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats):
        for run, spent in zip(runs, times, strict=True):
            began = time.thread_time()
            run()
            spent.append(time.thread_time() - began)
    first = times[0][2:]
    ratios = [statistics.median(t / f for t, f in zip(other[2:], first, strict=True)) for other in times[1:]]
    return statistics.median(first), ratios


def scan() -> None:
    """A step of a scan beside a bare one."""
    print("\na step of a learning-rate scan, over a bare step")
    print(f"{'bare step':>12}  {'babysit':>8}  {'torch-lr-finder':>15}  {'Lightning':>9}")
    for width, size, steps in ((24, 16, 200), (704, 256, 20)):
        print(scan_row(width, vectors(size, 32, steps)))


def scan_row(width: int, batches: Batches) -> str:
    loss = nn.CrossEntropyLoss()
    model = mlp(32, width, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    driven = Bench(PyTorchTrainer(model, loss, optimizer, batches)).trainer

    def bare() -> None:
        for batch in batches:
            bare_step(model, loss, optimizer, batch)

    def ours() -> None:
        for batch in batches:
            driven.step(batch)

    seconds, (ratio,) = paired(60, bare, ours)
    peers = []
    for package, find in (("torch_lr_finder", torch_lr_finder), ("lightning", lightning)):
        installed = importlib.util.find_spec(package) is not None
        peers.append(f"{paired(12, bare, lambda f=find: f(model, batches))[1][0]:.2f}" if installed else "-")
    return f"{1000 * seconds / len(batches):9.2f} ms  {ratio:8.3f}  {peers[0]:>15}  {peers[1]:>9}"


def torch_lr_finder(model: nn.Module, batches: Batches) -> None:
    from torch_lr_finder import LRFinder

    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)  # it leaves its mark on the one it is given
    finder = LRFinder(model, optimizer, nn.CrossEntropyLoss(), device="cpu")
    loader = DataLoader(batches, batch_size=None)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        finder.range_test(loader, start_lr=1e-5, end_lr=1e-4, num_iter=len(batches), diverge_th=1e9)


def lightning(model: nn.Module, batches: Batches) -> None:
    import lightning.pytorch as pl
    from lightning.pytorch.tuner import Tuner

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.lr = model, 1e-4

        def training_step(self, batch: tuple, batch_idx: int) -> torch.Tensor:  # noqa: ARG002  # Lightning's own names
            return cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(model.parameters(), lr=self.lr)

    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = pl.Trainer(accelerator="cpu", max_steps=len(batches), **quiet)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        rates = {"min_lr": 1e-5, "max_lr": 1e-4, "num_training": len(batches)}
        Tuner(trainer).lr_find(Module(), DataLoader(batches, batch_size=None), early_stop_threshold=None, **rates)


def trace() -> None:
    """A pass with the statistics of every nonlinearity beside a bare step."""
    print("\na traced pass with exact statistics of every nonlinearity, over a bare step (hooks: in that step)")
    print("      bare step    babysit   and linear maps   and all gradients  naive hooks")
    programs = {
        "MLP": (mlp(256, 512, 512, 512, 10), vectors(128, 256), nn.CrossEntropyLoss()),
        "CNN": (cnn(), images(32, 2), nn.CrossEntropyLoss()),
        "GPT": (GPT(), tokens(8, 64, 256), flat_cross_entropy),
    }
    for name, (model, batches, loss) in programs.items():
        print(f"{name:4} {trace_row(model, batches, loss)}")


def trace_row(model: nn.Module, batches: Batches, loss: Callable) -> str:
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    driven = Bench(PyTorchTrainer(model, loss, optimizer, batches)).trainer
    batch = batches[0]

    def bare() -> None:
        bare_step(model, loss, optimizer, batch)

    def traced(forward_only: bool = True) -> None:
        seen: dict[str, UnitStatistics] = {}

        def visit(record: Record) -> None:
            if record.phase == "forward" and record.kind not in ("linear", "norm", "softmax"):
                seen.setdefault(record.name, UnitStatistics(record.name, record.kind)).update(record)

        driven.trace(batch, ForwardOnly(visit) if forward_only else visit)
        for layer in seen.values():
            layer.summary()

    def all_layers() -> None:
        for group in look(driven, [batch], steps=1).groups:
            for layer in group.values():
                layer.summary()

    def hooked() -> None:
        with naive_hooks(model):
            bare()

    seconds, ratios = paired(60, bare, traced, all_layers, lambda: traced(forward_only=False), hooked)
    return f"{1000 * seconds:9.2f} ms  {ratios[0]:8.3f}  {ratios[1]:16.3f}  {ratios[2]:18.3f}  {ratios[3]:11.3f}"


@contextlib.contextmanager
def naive_hooks(model: nn.Module) -> Iterator[None]:
    """What people write: a forward hook on every activation module, each with its own numbers on the host."""

    def look(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        h = output.detach()
        (h.mean().item(), h.std().item(), (h == 0).float().mean().item(), (h <= 0).flatten(1).all(0).sum().item())

    kinds = (nn.ReLU, nn.GELU, nn.Tanh, Block)
    handles = [m.register_forward_hook(look) for m in model.modules() if isinstance(m, kinds)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def memory() -> None:
    """Peak memory of steps with a vocabulary of 50,000 words."""
    print("\npeak memory of 3 steps at a vocabulary of 50k, over the bare loop's (process minus what it held before)")
    peaks = {way: held(way) for way in ("bare", "babysit", "torch_lr_finder")}
    for way, peak in peaks.items():
        if peak:
            print(f"{way:16} {peak / 2**10:8.0f} MiB  {peak / peaks['bare']:.3f}")


def held(way: str) -> float:
    """Kibibytes at the peak, in a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--held", way], capture_output=True, text=True, check=False)
    return float(done.stdout.split()[-1]) if done.returncode == 0 else 0.0


def hold(way: str) -> None:
    """Makes the steps and prints the peak."""
    model, batches = GPT(vocabulary=50_000, width=128, depth=2, heads=4), tokens(8, 64, 50_000, count=3)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    trainer = PyTorchTrainer(model, flat_cross_entropy, optimizer, batches)
    if way == "torch_lr_finder":
        from torch_lr_finder import LRFinder

        finder = LRFinder(model, optimizer, flat_cross_entropy, device="cpu", memory_cache=False)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if way == "bare":
        for batch in batches:
            bare_step(model, flat_cross_entropy, optimizer, batch)
    elif way == "babysit":
        for batch in batches:
            trainer.step(batch)
    else:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            finder.range_test(
                DataLoader(batches, batch_size=None), start_lr=1e-5, end_lr=1e-4, num_iter=3, diverge_th=1e9
            )
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def state() -> None:
    """Saving and loading beside a copy of the same bytes."""
    model, batches = mlp(1024, 2048, 2048, 10), vectors(8, 1024)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    trainer = PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, batches)
    trainer.step(batches[0])
    saved = trainer.save()
    tensors = [*model.parameters(), *(p.grad for p in model.parameters())]
    tensors += [value for values in optimizer.state.values() for value in values.values()]
    kept = [x.detach().clone() for x in tensors]

    def copied() -> None:
        for x, into in zip(tensors, kept, strict=True):
            into.copy_(x.detach())

    def deep() -> None:
        copy.deepcopy((model.state_dict(), optimizer.state_dict(), [p.grad for p in model.parameters()]))

    def cloned() -> list[torch.Tensor]:
        return [x.detach().clone() for x in tensors]

    with torch.no_grad():
        seconds, (load, deepcopied) = paired(40, copied, lambda: trainer.load(saved), deep)
        _, (save,) = paired(40, cloned, trainer.save)
    size = sum(x.numel() * x.element_size() for x in tensors) / 2**20
    print(f"\nsaving and loading {size:.0f} MiB ({1000 * seconds:.1f} ms to copy in place)")
    print(f"load, over a copy in place: {load:.3f}   save, over clones: {save:.3f}   copy.deepcopy: {deepcopied:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("which", nargs="*", default=["scan", "trace", "memory", "state"])
    parser.add_argument("--held", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.held:
        hold(arguments.held)
        return
    torch.manual_seed(0)
    for name in arguments.which:
        {"scan": scan, "trace": trace, "memory": memory, "state": state}[name]()


if __name__ == "__main__":
    main()
