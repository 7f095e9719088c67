"""The finders of `benchmarks/finders.py`: known answers, and the packages' own where they are installed."""

import importlib.util
import itertools
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from babysit.adapters.pytorch import PyTorchTrainer
from babysit.trainer import Output

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "finders.py"


def loaded():
    spec = importlib.util.spec_from_file_location("finders", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their annotations up
    spec.loader.exec_module(module)
    return module


finders = loaded()
BY_NAME = {finder.name: finder for finder in finders.FINDERS}
FASTAI = ["fastai valley", "fastai steep", "fastai minimum", "fastai slide"]
NAMES = [*FASTAI, "Lightning", "torch-lr-finder"]
RATES = np.geomspace(1e-6, 1, 61)  # ten a decade


def curve_of(name, losses):
    """A curve with the rates that the finder's own test has."""
    test = BY_NAME[name].test
    return finders.Curve(test.steps, [test.rate(i, test.steps) for i in range(len(losses))], losses)


def suggested(name, losses):
    """The rate, as the index of the step that had it; a tenth of a rate counts as the rate."""
    curve = curve_of(name, losses)
    rate = finders.suggest(BY_NAME[name], curve) * (10 if name == "fastai minimum" else 1)
    if math.isnan(rate):
        return None
    place = int(np.argmin([abs(math.log(rate / other)) for other in curve.rates]))
    assert curve.rates[place] == pytest.approx(rate, rel=1e-6)
    return place


def at(rule, losses, rates=RATES):
    """Where on the curve a rule alone points."""
    rates = np.asarray(rates[: len(losses)])
    return int(np.argmin(abs(np.log(rates / rule(rates, np.asarray(losses, float))))))


class Scripted:
    """A trainer whose losses are written down beforehand."""

    def __init__(self, losses):
        self._losses = iter(losses)
        self.learning_rate = 0.5
        self.rates, self.seen = [], []

    def step(self, batch):
        self.rates.append(self.learning_rate)
        self.seen.append(batch)
        return Output(next(self._losses))


def wandering(seed, size, drift=-0.02):
    """A loss that falls and wanders, as real ones do."""
    noise = np.random.default_rng(seed).normal(size=size)
    return (5 + np.cumsum(drift + 0.05 * noise)).tolist()


# The rules on curves with known answers


def test_minimum_is_a_tenth_of_the_rate_at_the_lowest_loss():
    losses = [abs(i - 40) for i in range(61)]
    assert finders.fastai_minimum(RATES, losses) == pytest.approx(RATES[40] / 10)


def test_steep_is_where_the_one_drop_begins():
    losses = [2.0] * 31 + [1.0] * 30
    assert at(finders.fastai_steep, losses) == 30


def test_steep_counts_orders_of_magnitude():
    rates = np.asarray([1e-3, 1e-2, 1e-1, 2e-1])
    losses = np.asarray([3.0, 2.5, 2.0, 1.8])  # the last is the steepest per decade alone
    assert finders.fastai_steep(rates, losses) == 1e-1


def test_the_valley_is_entered_half_way():
    losses = [2.0] * 20 + [2.0 - 0.05 * i for i in range(1, 31)] + [3.0] * 11
    # 31 ever lower losses, the last at 49: begun at 18, then 10 and 5 on
    assert at(finders.fastai_valley, losses) == 18 + 10 + 5


def test_a_valley_may_leave_points_out():
    losses = [2.0] * 20 + [2.0 - 0.05 * i for i in range(1, 31)] + [3.0] * 11
    losses[35] = 9.0
    # 30 of them, the last still at 49: begun at 19, then 10 and 5 on
    assert at(finders.fastai_valley, losses) == 19 + 10 + 5


def test_of_valleys_of_a_length_the_first_counts():
    losses = [9.0, 8, 7, 6, 5, 4, 9, 8, 7, 6, 5, 4]
    assert at(finders.fastai_valley, losses) == -1 + 2 + 1


def test_a_valley_of_two_at_the_very_start_means_the_last_rate():
    assert at(finders.fastai_valley, [2.0, 1.0, 3.0, 4.0]) == 3


@pytest.mark.parametrize("losses", [[1.0] * 20, list(range(20)), [1.0]])
def test_no_valley_means_the_first_rate(losses):
    assert at(finders.fastai_valley, losses) == 0


@pytest.mark.parametrize("seed", range(20))
def test_the_valley_is_the_longest_of_all_subsequences(seed):
    losses = np.random.default_rng(seed).integers(0, 8, size=10).tolist()

    def falls(chosen):
        return all(losses[a] > losses[b] for a, b in itertools.pairwise(chosen))

    chains = [c for size in range(1, 11) for c in itertools.combinations(range(10), size) if falls(c)]
    length = max(map(len, chains))
    end = min(c[-1] for c in chains if len(c) == length)
    place = 0 if length == 1 else end - length + int(length / 3) + int(length / 6)
    assert at(finders.fastai_valley, losses) == place % 10


def test_slide_stops_where_both_ends_are_flat():
    losses = [2.0] * 50 + [2.0 + i for i in range(1, 12)]  # the slope is half at 49 and nothing before
    assert at(finders.fastai_slide, losses) == 49 - 15


def test_slide_stays_at_the_first_interval_where_its_ends_are_alike():
    assert at(finders.fastai_slide, [2.0] * 61) == 60 - 15


def test_slide_ends_at_the_first_rate_if_need_be():
    assert at(finders.fastai_slide, [0.01 * i * i for i in range(61)]) == 0


def test_lightning_asks_for_the_slope_per_unit_of_the_rate():
    losses = [3.0] * 20 + [2.5] * 20 + [1.0] * 21  # the second drop is higher, but far less steep
    assert at(finders.lightning_steepest, losses) in (19, 20)


def test_torch_lr_finder_asks_for_the_slope_per_step():
    losses = [3.0] * 20 + [2.5] * 20 + [1.0] * 21
    assert at(finders.torch_steepest, losses) == 39  # the first of the two points beside the drop


# What the rules get to see


def test_fastai_leaves_a_tenth_and_the_last_five():
    rates, losses = finders.fastai_kept(curve_of("fastai valley", list(range(100))))
    assert losses.tolist() == list(range(10, 95))
    assert len(rates) == 85
    assert rates[0] == pytest.approx(1e-7 * 1e8**0.1)


def test_fastai_leaves_a_tenth_of_the_steps_asked_for_not_taken():
    _, losses = finders.fastai_kept(replace(curve_of("fastai valley", list(range(40))), asked=200))
    assert losses.tolist() == list(range(20, 35))


def test_fastai_ends_at_the_first_undefined_loss():
    _, losses = finders.fastai_kept(curve_of("fastai valley", [1.0] * 30 + [math.nan] + [2.0] * 30))
    assert losses.tolist() == [1.0] * 20


def test_lightning_leaves_ten_and_one_and_what_is_not_finite():
    values = [float(i) for i in range(20)]
    values[12], values[14], values[15] = math.nan, math.inf, 1e39
    _, losses = finders.lightning_kept(curve_of("Lightning", values))
    assert losses.tolist() == [10, 11, 13, 16, 17, 18]


def test_torch_lr_finder_leaves_ten_and_five():
    _, losses = finders.torch_kept(curve_of("torch-lr-finder", list(range(20))))
    assert losses.tolist() == list(range(10, 15))


@pytest.mark.parametrize(
    ("name", "shortest"),
    [
        ("fastai valley", 16),
        ("fastai steep", 17),
        ("fastai minimum", 16),
        ("fastai slide", 31),
        ("Lightning", 13),
        ("torch-lr-finder", 17),
    ],
)
def test_a_curve_too_short_gives_none(name, shortest):
    assert suggested(name, wandering(0, shortest)) is not None
    assert suggested(name, wandering(0, shortest - 1)) is None
    assert suggested(name, []) is None


@pytest.mark.parametrize("name", [*FASTAI, "Lightning"])
def test_undefined_losses_give_none(name):
    assert suggested(name, [math.nan] * 100) is None


def test_torch_lr_finder_takes_the_first_undefined_slope():
    assert suggested("torch-lr-finder", [math.nan] * 100) == 10
    assert suggested("torch-lr-finder", [*wandering(0, 50), *[math.nan] * 50]) == 49


@pytest.mark.parametrize(
    ("name", "place"), [*zip(FASTAI, [10, 10, 10, 79], strict=True), ("torch-lr-finder", 10)]
)  # the first that they see but for slide, which starts from the right; Lightning's hangs on rounding
def test_a_flat_curve_says_nothing_and_is_answered_all_the_same(name, place):
    assert suggested(name, [2.3] * 100) == place


@pytest.mark.parametrize("name", NAMES)
def test_infinite_losses_are_no_error(name):
    suggested(name, [math.inf] * 100)
    suggested(name, [*wandering(0, 50), *[math.inf] * 50])


# The sweep


@pytest.mark.parametrize(
    ("test", "first", "last"),
    [
        (finders.FASTAI, [1e-7, 1e-7 * 1e8**0.01], 1e-7 * 1e8**0.99),
        (finders.LIGHTNING, [1e-8, 1e-8 * 1e8**0.02], 1.0),
        (finders.TORCH_LR_FINDER, [1e-7, 1e-7 * 1e8 ** (1 / 99)], 10.0),
    ],
)
def test_the_rates_are_set_and_told(test, first, last):
    trainer = Scripted([1.0] * 100)
    curve = finders.sweep(trainer, ["a", "b"], test)
    assert trainer.rates == list(curve.rates)
    assert trainer.seen == ["a", "b"] * 50
    assert curve.rates[:2] == pytest.approx(first)
    assert curve.rates[-1] == pytest.approx(last)
    assert len(curve.losses) == 100


@pytest.mark.parametrize("name", NAMES)
def test_steps_can_be_chosen(name):
    rate, steps = finders.suggestion(BY_NAME[name], Scripted(wandering(0, 40)), ["a"], steps=40)
    assert steps == 40
    assert rate > 0


def test_fastai_smooths_without_bias():
    assert list(finders.fastai_smoothed([2.0] * 5)) == pytest.approx([2.0] * 5)
    assert list(finders.fastai_smoothed([1.0, 3.0]))[1] == pytest.approx((0.98 * 1 + 3) / 1.98)


def test_fastai_smooths_as_lerp_does():
    losses, mean, expected = wandering(1, 100), torch.tensor(0.0), []
    for count, loss in enumerate(losses, start=1):
        mean = torch.lerp(torch.tensor(loss), mean, 0.98)
        expected.append((mean / (1 - 0.98**count)).item())
    assert list(finders.fastai_smoothed(losses)) == pytest.approx(expected, rel=1e-6)


def test_lightning_begins_at_half_the_loss():
    assert list(finders.lightning_smoothed([2.0, 2.0])) == pytest.approx([2 / 1.98, 2 * (1 - 0.98**2) / (1 - 0.98**3)])


def test_torch_lr_finder_begins_at_the_loss():
    assert list(finders.torch_smoothed([2.0, 4.0, 2.0])) == pytest.approx([2.0, 2.1, 2.095])


@pytest.mark.parametrize(
    ("test", "factor"), [(finders.FASTAI, 4), (finders.LIGHTNING, 4), (finders.TORCH_LR_FINDER, 5)]
)
def test_the_sweep_ends_once_the_smoothed_loss_has_grown_past_the_factor(test, factor):
    trainer = Scripted([2.0] * 20 + [50.0] * 80)
    curve = finders.sweep(trainer, ["a"], test)
    assert 20 < len(curve.rates) == len(trainer.rates) < 100
    best = min(curve.losses)
    assert curve.losses[-1] > factor * best >= curve.losses[-2]


@pytest.mark.parametrize("test", [finders.FASTAI, finders.LIGHTNING, finders.TORCH_LR_FINDER])
def test_undefined_losses_end_no_sweep(test):
    assert len(finders.sweep(Scripted([2.0] * 20 + [math.nan] * 80), ["a"], test).rates) == 100


@pytest.mark.parametrize("test", [finders.FASTAI, finders.LIGHTNING, finders.TORCH_LR_FINDER])
@pytest.mark.parametrize("loss", [math.inf, 1e300])
def test_a_loss_past_all_bounds_ends_a_sweep(test, loss):
    assert len(finders.sweep(Scripted([2.0] * 20 + [loss] * 80), ["a"], test).rates) == 21


# Beside the packages

EXAMPLES, FEATURES, CLASSES, BATCH = 320, 10, 4, 16
OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=1e-7, momentum=0.9),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-7),
}
CEILINGS = [None, 0.5, 1e4]  # the finder's own; one at which none diverges; one at which all do


def data():
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(EXAMPLES, FEATURES, generator=generator)
    targets = (inputs @ torch.randn(FEATURES, CLASSES, generator=generator)).argmax(1)
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(inputs, targets), batch_size=BATCH)


def network():
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(FEATURES, 32), nn.ReLU(), nn.Linear(32, CLASSES))


def ours(name, optimizer, ceiling):
    """The suggestion and curve of the finder here, on the same network and batches."""
    model = network()
    trainer = PyTorchTrainer(model, nn.CrossEntropyLoss(), OPTIMIZERS[optimizer](model.parameters()), data())
    finder = BY_NAME[name]
    if ceiling is not None:
        finder = replace(finder, test=replace(finder.test, high=ceiling))
    curve = finders.sweep(trainer, trainer.batches(), finder.test)
    if ceiling is not None:
        assert (len(curve.rates) < 100) == (ceiling > 1)
    return finders.suggest(finder, curve), curve


def same(rate, curve, theirs, rates, losses):
    assert curve.rates == pytest.approx(rates, rel=1e-6)
    assert curve.losses == pytest.approx(losses, rel=1e-6)
    assert rate == pytest.approx(theirs, rel=1e-6)


@pytest.fixture
def torch_lr_finder(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    return pytest.importorskip("torch_lr_finder")


@pytest.fixture
def lightning():
    return pytest.importorskip("lightning.pytorch")


def plotted(finder):
    """The package's suggestion; axes of one's own keep the figure from being shown."""
    from matplotlib.figure import Figure

    return finder.plot(ax=Figure().subplots())[1]


@pytest.mark.parametrize("seed", range(10))
def test_torch_lr_finder_says_the_same_of_a_curve(torch_lr_finder, seed):
    curve = curve_of("torch-lr-finder", wandering(seed, 60 + 4 * seed))
    model = network()
    finder = torch_lr_finder.LRFinder(model, OPTIMIZERS["sgd"](model.parameters()), nn.CrossEntropyLoss())
    finder.history = {"lr": curve.rates, "loss": curve.losses}
    assert finders.suggest(BY_NAME["torch-lr-finder"], curve) == plotted(finder)


@pytest.mark.parametrize("losses", [[math.nan] * 100, [*wandering(0, 50), *[math.nan] * 50], [2.3] * 100])
def test_torch_lr_finder_says_the_same_of_no_curve(torch_lr_finder, losses):
    curve = curve_of("torch-lr-finder", losses)
    model = network()
    finder = torch_lr_finder.LRFinder(model, OPTIMIZERS["sgd"](model.parameters()), nn.CrossEntropyLoss())
    finder.history = {"lr": curve.rates, "loss": curve.losses}
    assert finders.suggest(BY_NAME["torch-lr-finder"], curve) == plotted(finder)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("ceiling", CEILINGS)
def test_torch_lr_finder_finds_the_same(torch_lr_finder, optimizer, ceiling):
    model = network()
    finder = torch_lr_finder.LRFinder(model, OPTIMIZERS[optimizer](model.parameters()), nn.CrossEntropyLoss())
    finder.range_test(data(), **({} if ceiling is None else {"end_lr": ceiling}))
    rate, curve = ours("torch-lr-finder", optimizer, ceiling)
    same(rate, curve, plotted(finder), finder.history["lr"], finder.history["loss"])


@pytest.mark.parametrize("seed", range(20))
def test_lightning_says_the_same_of_a_curve(lightning, seed):
    from lightning.pytorch.tuner.lr_finder import _LRFinder

    losses = wandering(seed, 60 + 2 * seed)
    if seed % 4 == 2:
        losses = [2.3] * len(losses)
    if seed % 4 == 3:
        losses[20], losses[30] = math.nan, math.inf
    curve = curve_of("Lightning", losses)
    theirs = _LRFinder("exponential", 1e-8, 1, 100)
    theirs.results = {"lr": curve.rates, "loss": curve.losses}
    assert finders.suggest(BY_NAME["Lightning"], curve) == theirs.suggestion()


@pytest.mark.parametrize("losses", [[math.nan] * 100, [1.0] * 12, []])
def test_lightning_has_none_either(lightning, losses):
    from lightning.pytorch.tuner.lr_finder import _LRFinder

    theirs = _LRFinder("exponential", 1e-8, 1, 100)
    theirs.results = {"lr": curve_of("Lightning", losses).rates, "loss": losses}
    assert theirs.suggestion() is None
    assert suggested("Lightning", losses) is None


def lightning_run(lightning, optimizer, ceiling, folder):
    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.network, self.lr = network(), 1e-3

        def training_step(self, batch, index):
            return nn.functional.cross_entropy(self.network(batch[0]), batch[1])

        def configure_optimizers(self):
            return OPTIMIZERS[optimizer](self.parameters())

    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    trainer = lightning.Trainer(accelerator="cpu", max_epochs=10, default_root_dir=folder, **quiet)
    tuner = importlib.import_module("lightning.pytorch.tuner").Tuner(trainer)
    return tuner.lr_find(Module(), train_dataloaders=data(), **({} if ceiling is None else {"max_lr": ceiling}))


@pytest.mark.filterwarnings("ignore:.*treespec:FutureWarning")  # Lightning's use of PyTorch
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("ceiling", CEILINGS)
def test_lightning_finds_the_same(lightning, tmp_path, optimizer, ceiling):
    theirs = lightning_run(lightning, optimizer, ceiling, tmp_path)
    rate, curve = ours("Lightning", optimizer, ceiling)
    same(rate, curve, theirs.suggestion(), theirs.results["lr"], theirs.results["loss"])
