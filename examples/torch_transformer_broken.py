"""`torch_transformer.py` without its initialization: the weights are as torch draws them.

    babysit run examples/torch_transformer_broken.py:trainer

Spoiler, if you want to find out by yourself first: `nn.Embedding` draws its weights with a standard deviation of 1.
That does no harm in a table of inputs. This table is the last layer's weight too, so that every score is a sum of
64 products of about 1: the first scores are 8 times too large, above all for the character that was just read, and the
first loss is tens of times chance. Tie the weights if you like, and then draw them small.
"""

from torch_transformer import GPT, Program, language_loss
from torch_transformer import main as train

from babysit.adapters.pytorch import PyTorchTrainer


class DefaultGPT(GPT):
    """The same network, its weights as torch's modules draw them."""

    def initialize(self, layers):
        pass


def trainer(learning_rate=3e-3, weight_decay=0.1, batch_size=16):
    program = Program(DefaultGPT, learning_rate, weight_decay, batch_size)
    return PyTorchTrainer(
        program.model, language_loss, program.optimizer, program.train, program.val, update=program.update
    )


def main():
    train(model_class=DefaultGPT)


if __name__ == "__main__":
    main()
