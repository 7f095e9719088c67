"""A search as plain numbers, that its rules and answers are held against: its best lies inside every range."""

import math
from dataclasses import replace

from babysit.checks.search import Measurement
from babysit.search.space import Parameter
from babysit.search.stages import COARSE, FINE, SEEDS, ranking
from babysit.search.trials import Outcome, Trial

STRIDES = (math.sqrt(5) % 1, math.sqrt(2) % 1, math.sqrt(3) % 1)  # no two of whose multiples come to the same place

RATE = Parameter("learning_rate", "log", 1e-6, 1e-1)
HIDDEN = Parameter("hidden", "int", 32, 512)
ACTIVATION = Parameter("activation", "choice", choices=("relu", "tanh"))
SPACE = (RATE, HIDDEN, ACTIVATION)
FINER = (Parameter("learning_rate", "log", 1e-4, 1e-2), Parameter("hidden", "int", 128, 320), ACTIVATION)


def worth(configuration):
    """The accuracy of a long training: best at a learning rate of 0.001, a width of 200, and with ReLU."""
    off = abs(math.log10(configuration["learning_rate"]) + 3) / 10 + abs(configuration["hidden"] - 200) / 2000
    return 0.9 - off - 0.02 * (configuration["activation"] == "tanh")


def trial(configuration, score, **changes):
    """A coarse one that finished, where nothing else is said."""
    made = Trial(COARSE, 0, dict(configuration), 0, 1.0, Outcome.FINISHED, score=score, first_cost=2.3, last_cost=0.7)
    return replace(made, **{"scores": (score,), "steps": 100, "seconds": 0.5} | changes)


def failed(configuration, outcome=Outcome.EXPLODED, reason="the cost is nan in step 3", **changes):
    """A coarse one that came to nothing."""
    return trial(configuration, math.nan, **{"outcome": outcome, "reason": reason, "scores": ()} | changes)


def value(parameter, place):
    if parameter.choices:
        return parameter.choices[int(place * len(parameter.choices))]
    return round(parameter.at(place)) if parameter.is_whole else parameter.at(place)


def spread(space, count):
    """So many configurations, all over the space."""
    rows = [[(n + 1) * stride % 1 for stride in STRIDES[: len(space)]] for n in range(count)]
    return [{p.name: value(p, place) for p, place in zip(space, row, strict=True)} for row in rows]


def stage_of(name, space, count, epochs, penalty=0.0):
    """Trials of a stage; the shorter ones reach less."""
    made = spread(space, count)
    return [trial(c, worth(c) - penalty, stage=name, number=n, epochs=epochs) for n, c in enumerate(made)]


def again(trials, *shifts, top=3):
    """The best trials with as many other seeds, their scores shifted by this much."""
    pairs = [(t, s, shift) for t in ranking(trials, higher=True)[:top] for s, shift in enumerate(shifts, 1)]
    return [
        replace(t, stage=SEEDS, number=n, seed=seed, score=t.score + shift, scores=(t.score + shift,))
        for n, (t, seed, shift) in enumerate(pairs)
    ]


COARSE_TRIALS = stage_of(COARSE, SPACE, 30, 1.0, penalty=0.1)
FINE_TRIALS = stage_of(FINE, FINER, 15, 5.0)
ONCE = (*COARSE_TRIALS, *FINE_TRIALS)

HEALTHY = Measurement(
    metric="accuracy",
    constant_score=0.1,
    sampler="random",
    planned=51,
    earlier=0,
    space=SPACE,
    finer=FINER,
    trials=(*ONCE, *again(ONCE, 1e-4, -1e-4)),
    importances={"learning_rate": 0.75, "hidden": 0.2, "activation": 0.05},
    storage="search.journal",
)


def searched(*trials, space=SPACE, **changes):
    """A search that made these trials, and no finer range."""
    return replace(HEALTHY, **{"trials": trials, "space": space, "finer": (), "importances": {}} | changes)


def at_places(parameter, *places, trials=30):
    """A search of one parameter: trials at these places, the best first, and far worse ones all over the range."""
    rest = [(n + 1) * STRIDES[0] % 1 for n in range(trials - len(places))]
    scores = [0.8 - 0.01 * n for n in range(len(places))] + [0.3 - 0.001 * n for n in range(len(rest))]
    made = [{parameter.name: value(parameter, place)} for place in (*places, *rest)]
    numbered = enumerate(zip(made, scores, strict=True))
    return searched(*(trial(c, score, number=n) for n, (c, score) in numbered), space=(parameter,))


def repeated(*rows, noise_of=None):
    """A search whose best trials were run again: each row is a configuration's score, and those of other seeds."""
    made = spread(SPACE, len(rows))
    once = [trial(c, row[0], number=n, epochs=5.0) for n, (c, row) in enumerate(zip(made, rows, strict=True))]
    more = [
        replace(t, stage=SEEDS, seed=k, score=s)
        for t, row in zip(once, rows, strict=True)
        for k, s in enumerate(row[1:], 1)
    ]
    rest = [replace(t, score=0.2) for t in COARSE_TRIALS]
    return searched(*once, *rest, *more)
