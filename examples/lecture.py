"""The numbers on the slides of CS231n's lecture 6, computed with babysit's embedded network.

python examples/lecture.py
"""

import numpy as np

from babysit.lab.data import gaussian
from babysit.lab.network import Design, Network

DEPTH = 10


def first_losses(loss, l2=0.0):
    """Data loss and penalty of ten classes under weights of 0.01, on inputs the size of an image."""
    design = Design((3072, 50, 10), initialization="small-normal", loss=loss, l2=l2)
    network = Network(design, seed=0)
    rng = np.random.default_rng(0)
    inputs, labels = 0.1 * rng.standard_normal((500, 3072)), np.arange(500) % 10
    scores = network.forward(inputs)[-1].output
    return network.loss(scores, labels)[0], network.penalty()


def spreads(activation, initialization):
    """Standard deviation of what each of ten layers of 500 units puts out, for unit Gaussian inputs."""
    network = Network(Design((500,) * (DEPTH + 1) + (10,), activation, initialization), seed=0)
    calls = network.forward(gaussian(np.random.default_rng(0), 1000, 500))
    return [call.output.std() for call in calls if call.layer.kind == activation]


def main():
    print(f"softmax, ten classes: {first_losses('softmax')[0]:.4f}  (ln 10 = 2.3026)")
    print(f"hinge, ten classes:   {first_losses('hinge')[0]:.4f}  (10 - 1 = 9)")
    loss, penalty = first_losses("softmax", l2=0.1)
    print(f"softmax, regularized: {loss + penalty:.4f}  (0.1 x the sum of squared weights = {penalty:.4f} more)")
    print("\nspread by layer          1       2       3       4       5    ...      10")
    for activation, initialization in (
        ("tanh", "small-normal"),
        ("tanh", "large-normal"),
        ("tanh", "xavier"),
        ("relu", "xavier"),
        ("relu", "he"),
    ):
        row = spreads(activation, initialization)
        shown = " ".join(f"{value:7.3g}" for value in row[:5])
        print(f"{activation}, {initialization:13} {shown}    ... {row[-1]:7.3g}")


if __name__ == "__main__":
    main()
