"""The demo broken on purpose: faults of the data and their preprocessing."""

from dataclasses import replace

import numpy as np

from babysit.lab.broken_data import InOrder, ScaledByBatch
from babysit.lab.demo import DESIGN, assemble
from babysit.lab.faults.fault import breaks
from babysit.lab.preprocessing import normalization
from babysit.lab.trainer import LabTrainer


@breaks("inputs-not-finite")
def nan_input(seed: int = 0) -> LabTrainer:
    """One cell of the training inputs is NaN."""
    trainer = assemble(seed=seed)
    inputs, _ = trainer.splits["train"]
    inputs[17, 0] = np.nan
    return trainer


@breaks("labels-out-of-range")
def labels_below_zero(seed: int = 0) -> LabTrainer:
    """Classes are counted from -1, which NumPy takes for the last one."""
    trainer = assemble(seed=seed)
    trainer.splits = {name: (inputs, labels - 1) for name, (inputs, labels) in trainer.splits.items()}
    return trainer


@breaks("target-leak")
def label_among_inputs(seed: int = 0) -> LabTrainer:
    """The column of the labels is left among the inputs."""
    trainer = assemble(replace(DESIGN, sizes=(3, 100, 3)), seed=seed)
    trainer.splits = {name: (np.column_stack([x, labels]), labels) for name, (x, labels) in trainer.splits.items()}
    return trainer


@breaks("constant-features")
def integer_division(seed: int = 0) -> LabTrainer:
    """The inputs are divided as whole numbers and are all 0."""
    trainer = assemble(seed=seed)
    trainer.splits = {name: (inputs // 10**6 * 0, labels) for name, (inputs, labels) in trainer.splits.items()}
    return trainer


@breaks("feature-scales-differ")
def column_in_other_units(seed: int = 0) -> LabTrainer:
    """One column is in millimetres, the other in kilometres, a million times as large."""
    trainer = assemble(seed=seed)
    scale = np.array([1e3, 1e-3])
    trainer.splits = {name: (inputs * scale, labels) for name, (inputs, labels) in trainer.splits.items()}
    return trainer


@breaks("inputs-badly-scaled")
def inputs_never_scaled(seed: int = 0) -> LabTrainer:
    """The inputs are two hundred times too large, as raw pixels are."""
    trainer = assemble(seed=seed)
    trainer.splits = {name: (200 * inputs, labels) for name, (inputs, labels) in trainer.splits.items()}
    return trainer


@breaks("inputs-not-centered")
def inputs_off_center(seed: int = 0) -> LabTrainer:
    """The inputs lie around 40 with a spread of 1, as temperatures in another unit do."""
    trainer = assemble(seed=seed)
    trainer.splits = {name: (inputs + 40, labels) for name, (inputs, labels) in trainer.splits.items()}
    return trainer


@breaks("missing-classes")
def labels_divided(seed: int = 0) -> LabTrainer:
    """The training labels are divided like pixels and cut to whole numbers: all are 0."""
    trainer = assemble(seed=seed)
    inputs, labels = trainer.splits["train"]
    trainer.splits["train"] = inputs, labels // 255
    return trainer


@breaks("split-statistics-differ")
def validation_scaled_by_itself(seed: int = 0) -> LabTrainer:
    """The validation split is normalized by its own mean and spread."""
    trainer = assemble(seed=seed)
    inputs, labels = trainer.splits["val"]
    trainer.splits["val"] = normalization(inputs)(inputs), labels
    return trainer


@breaks("split-statistics-differ")
def validation_not_scaled(seed: int = 0) -> LabTrainer:
    """The training split is normalized, the validation split is left as it was."""
    trainer = assemble(seed=seed)
    inputs, labels = trainer.splits["val"]
    trainer.splits["val"] = 5 + 20 * inputs, labels
    return trainer


@breaks("split-overlap")
def validation_in_training(seed: int = 0) -> LabTrainer:
    """The validation examples are trained on, too."""
    trainer = assemble(seed=seed)
    (inputs, labels), (val_inputs, val_labels) = trainer.splits["train"], trainer.splits["val"]
    trainer.splits["train"] = np.concatenate([inputs, val_inputs]), np.concatenate([labels, val_labels])
    return trainer


@breaks("unshuffled-batches")
def never_shuffled(seed: int = 0) -> LabTrainer:
    """The training examples come class after class, in every epoch."""
    return assemble(seed=seed, trainer=InOrder)


@breaks("per-batch-preprocessing")
def scaled_by_batch(seed: int = 0) -> LabTrainer:
    """Every batch is normalized by its own mean and spread."""
    return assemble(seed=seed, trainer=ScaledByBatch)
