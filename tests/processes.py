"""Several processes of one program, played by threads that meet where processes would.

together(2, lambda group, rank: ...)     what each rank returned or raised, in the order of ranks
Parallel(group, rank)                    a trainer that is one rank's: its shard of the data, the mean of all gradients

A rank that ends closes its connections, as a process does, and who waits for it is told. Where every rank left waits
for another, nobody would ever move again: `together` fails, and says who waits where.
"""

import pickle
import threading
from collections import Counter

import numpy as np
from trainers import TracedTrainer

from babysit import arrays
from babysit.lab import demo
from babysit.lab.trainer import LabTrainer

GONE = "connection closed by peer"


class Hang(BaseException):
    """Every rank waits for another."""


class Group:
    """The ranks' way to one another."""

    def __init__(self, size):
        self.size = size
        self.hung = ""
        self.word = ""
        self._sent = {}  # what each rank brought, by place: the collective and its number
        self._waiting = {}  # the place by rank
        self._gone = set()
        self._calls = Counter()
        self._turn = threading.Condition()

    def gather(self, rank, value, collective="babysit"):
        """The value of every rank, pickled on its way."""
        with self._turn:
            place = (collective, self._calls[rank, collective])
            self._calls[rank, collective] += 1
            self._sent.setdefault(place, {})[rank] = pickle.dumps(value)
            self._waiting[rank] = place
            self._turn.notify_all()
            while not self._ends(place):
                self._look_for_a_hang()
                self._turn.wait()
            del self._waiting[rank]
            sent = self._sent[place]
        if len(sent) < self.size:
            raise ConnectionError(GONE)
        return [pickle.loads(sent[other]) for other in range(self.size)]

    def _ends(self, place):
        missing = set(range(self.size)) - set(self._sent[place])
        return not missing or missing & self._gone

    def _look_for_a_hang(self):
        everybody = set(self._waiting) | self._gone == set(range(self.size))
        if everybody and not any(self._ends(place) for place in self._waiting.values()):
            self.hung = ", ".join(f"rank {rank} in {name}" for rank, (name, _) in sorted(self._waiting.items()))
            self._turn.notify_all()
        if self.hung:
            raise Hang

    def leave(self, rank):
        with self._turn:
            self._gone.add(rank)
            self._waiting.pop(rank, None)
            self._turn.notify_all()

    def fail(self, message):
        with self._turn:
            self.word = self.word or message


def together(size, program):
    """What `program(group, rank)` returned or raised on each rank."""
    group = Group(size)
    ends = [None] * size

    def process(rank):
        try:
            ends[rank] = program(group, rank)
        except BaseException as error:  # noqa: BLE001  # Ctrl-C is an end too
            ends[rank] = error
        finally:
            group.leave(rank)

    threads = [threading.Thread(target=process, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive(), "a rank is lost"
    assert not group.hung, f"all wait for ever: {group.hung}"
    return ends


class Ranked:
    """What a trainer has that is one of several."""

    def _join(self, group, rank):
        self.group, self.rank, self.size = group, rank, group.size

    def gather(self, value):
        return self.group.gather(self.rank, value)

    def fail(self, message):
        self.group.fail(message)

    def failure(self):
        return self.group.word

    def mean(self, gradients):
        """Over the ranks, as the program's own collective has it."""
        every = self.group.gather(self.rank, gradients, "the program's own")
        return {name: sum(other[name] for other in every) / self.size for name in gradients}


class Parallel(Ranked, TracedTrainer):
    """Each rank has every so-manyth example, and all make the update of the mean gradient."""

    def __init__(self, group, rank, **changes):
        self._join(group, rank)
        super().__init__(**{"batch_size": 20} | changes)
        if "splits" not in changes:
            self.splits = {name: (x[rank :: self.size], y[rank :: self.size]) for name, (x, y) in self.splits.items()}

    def step(self, batch):
        output, gradients = self._forward_backward(batch)
        self.latest = self.mean(gradients)
        self.weights = {name: w - self.learning_rate * self.latest[name] for name, w in self.weights.items()}
        return output

    def replicas(self):
        return self.weights


class Dropping(Parallel):
    """In training mode half of the inputs are dropped; the generator of the masks is a part of the state."""

    def __init__(self, group, rank, *, seed, **changes):
        self.noise = np.random.default_rng(seed)
        super().__init__(group, rank, **changes)

    def _dropped(self, batch):
        kept = self.noise.random(batch[0].shape) < 0.5 if self.regularization_scale else True
        return np.where(kept, batch[0], 0.0), batch[1]

    def evaluate(self, batch, *, training=False):
        before = self.noise.bit_generator.state
        output = self._forward_backward(self._dropped(batch) if training else batch)[0]
        self.noise.bit_generator.state = before
        return output

    def step(self, batch):
        return super().step(self._dropped(batch))

    def save(self):
        return {**super().save(), "noise": self.noise.bit_generator.state}

    def load(self, state):
        self.noise.bit_generator.state = state["noise"]
        super().load({name: state[name] for name in self.weights})


class ParallelLab(Ranked, LabTrainer):
    """The demo's trainer, as one of several: a hidden layer to trace, momentum, epochs in a new order each time."""

    def _update(self, gradients):
        self._last_gradients = self.mean(gradients)
        super()._update(self._last_gradients)

    def replicas(self):
        return self.network.params


def parallel_demo(group, rank):
    made = demo.assemble(trainer=ParallelLab)
    made._join(group, rank)
    made.splits = {name: (x[rank :: group.size], y[rank :: group.size]) for name, (x, y) in made.splits.items()}
    made.batch_size = 20
    return made


def joined_demo(size):
    """The demo in one process, on what the ranks of `parallel_demo` see, joined."""

    def batches(split="train"):
        every = (parallel_demo(Group(size), rank).batches(split) for rank in range(size))
        return [arrays.concatenate(parts) for parts in zip(*every, strict=True)]

    made = demo.trainer()
    made.batches = batches
    return made
