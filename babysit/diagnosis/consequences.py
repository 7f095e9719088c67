"""What each fault brings about: which findings stand beneath which, where nothing measured says otherwise."""

from collections.abc import Collection, Mapping

# What each fault brings about. A rule explains only findings that are there, and none that is more severe than itself.
_CURVES = (
    *("loss-not-falling", "loss-plateau", "slow-start", "underfitting", "noisy-loss", "update-ratio-out-of-range"),
    *("loss-metric-disagree", "loss-flat-accuracy-rising"),
)
_STUCK = (
    "constant-predictions",
    "cannot-overfit",
    "overfit-too-slow",
    "no-usable-learning-rate",
    "range-edge",
    *_CURVES,
)
_THROWN = ("learning-rate-too-high", "killed-by-learning-rate", "overfit-diverges", "loss-diverges", "noisy-loss")
_RATES = ("learning-rate-too-low", "learning-rate-too-high", "range-edge")
_LOST = ("constant-activation", "inputs-ignored", "vanishing-gradient", "frozen-parameters", "missing-gradient")
_LARGE = ("confident-at-init", "unexpected-initial-loss", "saturated-activation", "dead-relu")
_FAILING = (*_THROWN, *_RATES, *_STUCK)
EXPLAINS: Mapping[str, tuple[str, ...]] = {
    "evaluate-changes-state": ("state-not-restored", "nondeterministic-evaluation", "batch-leak", "train-eval-gap"),
    "nondeterministic-evaluation": ("decay-not-applied", "train-eval-gap", "overfitting-gap"),
    "inputs-not-finite": ("non-finite-loss", "bad-output", "unexpected-initial-loss", *_FAILING),
    "labels-out-of-range": ("task-mismatch", "bad-output", "unexpected-initial-loss", "class-imbalance", *_STUCK),
    "target-leak": ("overfitting-gap", "split-overlap", "range-edge"),
    "constant-features": (
        "dead-relu",
        "shrinking-activations",
        "same-sign-gradient",
        "output-range",
        *_LOST,
        *_FAILING,
    ),
    "feature-scales-differ": (
        *("inputs-badly-scaled", "inputs-not-centered", "targets-badly-scaled", "exploding-activations"),
        *(*_LARGE, *_FAILING, "same-sign-gradient", "overfitting-gap"),
    ),
    "inputs-not-centered": ("inputs-badly-scaled", "same-sign-gradient", *_LARGE, *_FAILING),
    "inputs-badly-scaled": ("exploding-activations", "regularization-dominates", *_LARGE, *_LOST, *_FAILING),
    "missing-classes": (
        *("split-statistics-differ", "class-imbalance", "unexpected-initial-loss", "overfitting-gap"),
        *("same-sign-gradient", *_RATES, *_STUCK),
    ),
    "split-statistics-differ": ("overfitting-gap", "class-imbalance", "inputs-badly-scaled"),
    "unshuffled-batches": ("overfitting-gap", "train-eval-gap", *_THROWN, *_RATES, *_STUCK),
    "per-batch-preprocessing": ("split-statistics-differ", "overfitting-gap", "batch-leak"),
    "targets-badly-scaled": ("unexpected-initial-loss", *_RATES, *_STUCK),
    "symmetric-weights": ("dead-relu", "shrinking-activations", "mis-scaled-weights", *_LOST, *_RATES, *_STUCK),
    "mis-scaled-weights": (
        *("shrinking-activations", "exploding-activations", "exploding-gradient", "overfitting-gap"),
        *(*_LARGE, *_LOST, *_FAILING),
    ),
    "shrinking-activations": (*_LOST, *_RATES, *_STUCK),
    "exploding-activations": ("exploding-gradient", *_LARGE, *_FAILING),
    "vanishing-gradient": ("frozen-parameters", *_RATES, *_STUCK),
    "exploding-gradient": (*_FAILING,),
    "zero-gamma": ("dead-relu", "regularization-dominates", *_LOST, *_RATES, *_STUCK),
    "batch-leak": (
        "nondeterministic-evaluation",
        "train-eval-gap",
        "overfitting-gap",
        "learning-rate-too-low",
        *_STUCK,
    ),
    "tiny-norm-batch": ("train-eval-gap", "overfitting-gap", *_RATES, *_STUCK),
    "frozen-statistics": ("train-eval-gap", "overfitting-gap", "loss-metric-disagree"),
    "train-eval-gap": ("overfitting-gap", "loss-metric-disagree"),
    "non-finite-loss": ("bad-output", "unexpected-initial-loss", *_FAILING),
    "task-mismatch": ("bad-output", "unexpected-initial-loss", *_STUCK),
    "bad-output": ("unexpected-initial-loss", "inputs-ignored", *_STUCK),
    "step-changes-nothing": ("frozen-parameters", "learning-rate-too-low", "inputs-ignored", *_STUCK),
    "normalized-scores": (
        *("unexpected-initial-loss", "saturated-activation", "floor-above-zero", "vanishing-gradient"),
        *(*_RATES, *_STUCK),
    ),
    "output-range": (
        *("unexpected-initial-loss", "saturated-activation", "targets-badly-scaled", "vanishing-gradient"),
        *(*_RATES, *_STUCK),
    ),
    "confident-at-init": ("unexpected-initial-loss", "saturated-activation", "dead-relu", *_FAILING),
    "dead-relu": ("shrinking-activations", *_LOST, *_RATES, *_STUCK),
    "saturated-activation": ("shrinking-activations", *_LOST, *_RATES, *_STUCK),
    "constant-activation": ("inputs-ignored", "frozen-parameters", "same-sign-gradient", *_RATES, *_STUCK),
    "idle-maxout-piece": (*_RATES, *_STUCK),
    "collapsed-slope": (*_RATES, *_STUCK),
    "inputs-ignored": ("frozen-parameters", "missing-gradient", "same-sign-gradient", *_RATES, *_STUCK),
    "summed-loss": ("unexpected-initial-loss", "regularization-dominates", *_FAILING),
    "regularization-lowers-loss": ("overfitting-gap", *_FAILING),
    "regularization-dominates": (*_FAILING,),
    "regularization-without-effect": ("decay-not-applied", "wrong-gradient"),
    "decay-not-applied": ("wrong-gradient",),
    "wrong-gradient": ("regularization-dominates", "overfitting-gap", *_FAILING),
    "missing-gradient": ("vanishing-gradient", "frozen-parameters", *_RATES, *_STUCK),
    "accumulated-gradient": ("wrong-gradient", *_FAILING),
    "frozen-parameters": (*_RATES, *_STUCK),
    "constant-predictions": ("learning-rate-too-low", *_STUCK[1:]),
    "learning-rate-too-high": (
        *("killed-by-learning-rate", "overfit-diverges", "loss-diverges", "train-eval-gap", "overfitting-gap"),
        *_STUCK,
    ),
    "learning-rate-too-low": ("overfit-too-slow", "range-edge", *_CURVES),
    "overfit-diverges": ("killed-by-learning-rate", "no-usable-learning-rate", "range-edge", "loss-diverges"),
    "killed-by-learning-rate": _STUCK,
    "floor-above-zero": ("cannot-overfit", "overfit-too-slow", "range-edge", *_CURVES),
    "cannot-overfit": ("no-usable-learning-rate", "range-edge", "overfitting-gap", *_CURVES),
    "no-usable-learning-rate": ("range-edge", "overfitting-gap", *_CURVES),
    "loss-diverges": ("noisy-loss", "update-ratio-out-of-range", "loss-not-falling", "overfitting-gap"),
    "loss-not-falling": ("loss-plateau", "underfitting", "loss-metric-disagree", "update-ratio-out-of-range"),
}


def explained_by(known: Collection[str], failures: Collection[str]) -> str:
    """The first of these rules that explains one of the failures; empty where none does."""
    return next((rule for rule in sorted(known) if set(failures) & set(EXPLAINS.get(rule, ()))), "")
