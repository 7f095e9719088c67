"""The seam for other frameworks' trainers, proved on one that is not PyTorch's own class."""

import pytest

pytest.importorskip("accelerate")
transformers = pytest.importorskip("transformers")

import torch  # noqa: E402

from babysit.adapters import wrap  # noqa: E402
from babysit.driving.bench import Bench  # noqa: E402
from babysit.errors import TargetError  # noqa: E402
from babysit.tasks.task import LanguageModel  # noqa: E402

WORDS, LENGTH = 11, 8


def made(tmp_path, *, kind=transformers.Trainer, data=True, **args):
    torch.manual_seed(0)
    ids = (torch.arange(LENGTH) + torch.arange(40)[:, None]) % WORDS
    examples = [{"input_ids": row, "labels": row} for row in ids]
    config = transformers.GPT2Config(
        vocab_size=WORDS, n_positions=LENGTH, n_embd=16, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0
    )
    options = {"per_device_train_batch_size": 8, "report_to": [], "use_cpu": True, "learning_rate": 1e-2} | args
    arguments = transformers.TrainingArguments(str(tmp_path), **options)
    return kind(transformers.GPT2LMHeadModel(config), arguments, train_dataset=examples if data else None)


def test_a_trainer_of_transformers_is_driven_as_it_is(tmp_path):
    bench = Bench(wrap(made(tmp_path)))
    assert bench.task == LanguageModel(WORDS)
    assert bench.trainer.learning_rate == 1e-2
    losses = [bench.trainer.step(batch).loss for _ in range(6) for batch in bench.pool()]
    assert losses[-1] < losses[0] / 2


def test_its_scores_are_held_against_the_token_that_follows(tmp_path):
    trainer = wrap(made(tmp_path))
    inputs, targets = next(iter(trainer.batches()))
    output = trainer.evaluate((inputs, targets))
    assert targets.shape == (8, LENGTH - 1)
    assert trainer.task.reference_loss(output.scores, targets) == pytest.approx(float(output.loss), rel=1e-5)


def test_gradients_accumulate_and_are_clipped_as_its_arguments_say(tmp_path):
    trainer = wrap(made(tmp_path, gradient_accumulation_steps=3, max_grad_norm=1e-3, optim="sgd", weight_decay=0.0))
    batch = next(iter(trainer.batches()))
    before = {name: p.clone() for name, p in trainer.parameters().items()}
    assert [trainer.step(batch).updated for _ in range(3)] == [False, False, True]
    moved = sum(float((p - before[name]).square().sum()) for name, p in trainer.parameters().items()) ** 0.5
    assert moved == pytest.approx(1e-2 * 1e-3, rel=1e-2)


def test_passes_that_wait_for_an_update_are_put_back(tmp_path):
    trainer = wrap(made(tmp_path, gradient_accumulation_steps=2))
    batch = next(iter(trainer.batches()))
    state = trainer.save()
    assert not trainer.step(batch).updated
    trainer.load(state)
    assert [trainer.step(batch).updated for _ in range(2)] == [False, True]


class OwnLoss(transformers.Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        return model(**inputs).loss * 2


def test_a_loss_of_its_own_is_refused(tmp_path):
    with pytest.raises(TargetError) as caught:
        wrap(made(tmp_path, kind=OwnLoss))
    assert str(caught.value) == (
        "this OwnLoss computes its loss in a way of its own; return PyTorchTrainer(model, loss, optimizer, train) from "
        "`babysit.adapters.pytorch` in its place"
    )


def test_no_data_is_refused(tmp_path):
    with pytest.raises(TargetError, match=r"^this Trainer has no train_dataset$"):
        wrap(made(tmp_path, data=False))
