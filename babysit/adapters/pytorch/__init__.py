"""Networks, losses and optimizers of PyTorch, as training programs have them."""

from babysit.adapters.pytorch.trainer import PyTorchTrainer, adapt

__all__ = ["FRAMEWORK", "PyTorchTrainer", "adapt"]

FRAMEWORK = "torch"
