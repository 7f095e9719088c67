"""PyTorch programs on several processes: alone in a group of one, and as `torchrun` starts them."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from babysit import SupportsRanks
from babysit.adapters.pytorch import PyTorchTrainer
from babysit.adapters.pytorch.ranks import ProcessGroup, replicas

LIMIT = 110  # seconds from where a run counts as one that hangs
PROGRAM = """\
import os
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from babysit.adapters.pytorch import PyTorchTrainer

torch.set_num_threads(1)
RANK = int(os.environ["RANK"])
print(f"rank {RANK} has begun", flush=True)
os.write(1, b"written past Python\\n")


def make(*, wrapped=True, sharded=True, seed=None, failing=None, at=40, slow=False):
    dist.init_process_group("gloo")
    if seed is not None:
        torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 4, (400,), generator=draw)
    inputs = torch.randn(400, 16, generator=draw)
    inputs[torch.arange(400), targets] += 3
    data = TensorDataset(inputs, targets)
    network = nn.Sequential(nn.Linear(16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 4))
    calls = []

    def loss(scores, targets):
        calls.append(1)
        if failing == RANK and len(calls) == at:
            raise ValueError("no more")
        if slow and len(calls) >= at:
            Path(f"rank{RANK}").touch()
            time.sleep(1.0)
        return nn.functional.cross_entropy(scores, targets)

    return PyTorchTrainer(
        DistributedDataParallel(network) if wrapped else network,
        loss,
        torch.optim.Adam(network.parameters(), 1e-2),
        DataLoader(data, 32, sampler=DistributedSampler(data)) if sharded else DataLoader(data, 32, shuffle=True),
    )


def healthy(): return make()
def unwrapped(): return make(wrapped=False)
def sharing(): return make(sharded=False, seed=0)
def failing_0(): return make(failing=0)
def failing_1(): return make(failing=1)
def slow(): return make(slow=True)
def dying():
    if RANK == 1:
        raise RuntimeError("no GPU here")
    return make()
"""


# A group of one


@pytest.fixture
def group():
    """A process group that holds this process alone."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def trainer(model, **options):
    inputs = torch.randn(40, 6, generator=torch.Generator().manual_seed(1))
    batches = [(x, x.argmax(dim=1) % 3) for x in inputs.split(10)]
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), 0.1), batches, **options)


def test_without_a_group_there_is_one_rank():
    ranks, value = ProcessGroup(), object()
    assert (ranks.rank, ranks.size) == (0, 1)
    assert ranks.gather(value, torch.device("cpu"))[0] is value


@pytest.mark.usefixtures("group")
def test_in_a_group_of_one_there_is_one_rank():
    ranks, value = ProcessGroup(), object()
    assert (ranks.rank, ranks.size) == (0, 1)
    assert ranks.gather(value, torch.device("cpu"))[0] is value


def test_a_program_on_one_process_knows_its_ranks():
    made = trainer(network())
    assert isinstance(made, SupportsRanks)
    assert (made.rank, made.size, made.gather(3)) == (0, 1, [3])


@pytest.mark.usefixtures("group")
def test_the_first_word_stands():
    made = trainer(network())
    assert made.failure() == ""
    made.fail("rank 1: step 3 raised ValueError: boom")
    made.fail("rank 0: step 3 raised ConnectionError")
    assert made.failure() == "rank 1: step 3 raised ValueError: boom"


PARAMETERS = {"0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias"}
BUFFERS = {"1.running_mean", "1.running_var", "1.num_batches_tracked"}


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize(
    ("wrap", "expected"),
    [
        (lambda model: model, PARAMETERS | BUFFERS),
        (DistributedDataParallel, PARAMETERS),
        (lambda model: DistributedDataParallel(model, forward_sync_buffers=False), PARAMETERS | BUFFERS),
    ],
    ids=["bare", "wrapped", "wrapped, buffers left alone"],
)
def test_what_ranks_must_hold_alike(wrap, expected):
    model = network()
    made = trainer(wrap(model))
    assert set(made.replicas()) == set(replicas(wrap(model), model)) == expected


def test_parameters_that_are_frozen_and_buffers_that_are_not_saved_must_be_alike_too():
    model = network()
    model[0].weight.requires_grad_(False)
    model.register_buffer("mask", torch.ones(3), persistent=False)
    assert set(trainer(model).replicas()) == PARAMETERS | BUFFERS | {"mask"}


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize(
    "options",
    [{}, {"find_unused_parameters": True}, {"static_graph": True}, {"gradient_as_bucket_view": True}],
    ids=str,
)
def test_a_wrapped_model_is_driven_as_the_one_inside(options):
    """On one rank the mean of all gradients is its own, so that every number is the bare model's."""
    bare, wrapped = trainer(network()), trainer(DistributedDataParallel(network(), **options))
    start = wrapped.save()
    for _ in range(2):
        for batch in bare.batches():
            losses = [float(made.step(batch).loss) for made in (bare, wrapped)]
            assert losses[0] == losses[1]
            losses = [float(made.evaluate(batch, training=True).loss) for made in (bare, wrapped)]
            assert losses[0] == losses[1]
    one, other = bare.parameters(), wrapped.parameters()
    assert list(one) == list(other)
    assert all(torch.equal(one[name], other[name]) for name in one)
    gradients = wrapped.last_gradients()
    assert all(torch.equal(gradients[name], gradient) for name, gradient in bare.last_gradients().items())
    wrapped.load(start)
    assert all(torch.equal(p, q) for p, q in zip(network().parameters(), wrapped.parameters().values(), strict=True))


@pytest.mark.usefixtures("group")
def test_a_wrapped_model_is_stepped_through_its_wrapper():
    model = DistributedDataParallel(network())
    calls = []
    model.register_forward_pre_hook(lambda module, inputs: calls.append(module.training))
    made = trainer(model)
    batch = next(iter(made.batches()))
    made.evaluate(batch)
    made.trace(batch, lambda record: None)
    assert calls == []
    made.step(batch)
    assert calls == [True]


# Several processes


def start(folder, *arguments):
    """`torchrun`'s own module, so that it is this interpreter's; the command on two processes."""
    (folder / "train.py").write_text(PROGRAM)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = ["torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "300"}
    return subprocess.Popen(
        [sys.executable, "-m", *launcher, "-m", "babysit", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(started):
    """Exit code, standard output and standard error of the whole group of processes."""
    try:
        out, err = started.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        pytest.fail("the processes hang")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
    return started.returncode, out, err


def torchrun(folder, *arguments):
    return ended(start(folder, *arguments))


CHECKS = "--select=check-target,check-parallel,check-activations,check-loss"


def test_a_healthy_program_makes_one_report(tmp_path):
    code, out, err = torchrun(tmp_path, "run", "train.py:healthy", CHECKS, "--quiet", "--report=json=report.json")
    assert (code, out) == (0, "✓ PASSED  nothing found in 4 checks - train.py:healthy, seed 0\n")
    assert (err.count("has begun"), err.count("written past Python")) == (2, 2)
    report = json.loads((tmp_path / "report.json").read_text())
    found = {result["check"]: result["measurement"] for result in report["results"]}
    assert found["check-parallel"] == {
        "ranks": 2,
        "steps": 2,
        "differing": [],
        "replicas": 6,
        "examples": 200,
        "common": 0.0,
        "surprise": 0.0,
        "noisy": True,
        "same_noise": False,
    }
    assert found["check-target"]["examples"] == 64  # 32 of each rank
    assert found["check-activations"]["examples"] == found["check-activations"]["at_start"][0]["examples"] == 400


@pytest.mark.parametrize(
    ("program", "rules"), [("unwrapped", ["ranks-diverge"]), ("sharing", ["ranks-share-data", "ranks-share-noise"])]
)
def test_a_broken_program(tmp_path, program, rules):
    code, out, _ = torchrun(tmp_path, "check-parallel", f"train.py:{program}", "--format=json")
    assert code != 0
    assert [finding["rule"] for finding in json.loads(out)["findings"]] == rules


@pytest.mark.parametrize("rank", [0, 1])
def test_a_failure_in_the_middle_of_a_run_is_told_with_its_rank(tmp_path, rank):
    code, out, _ = torchrun(tmp_path, "run", f"train.py:failing_{rank}", CHECKS, "--format=json")
    assert code != 0
    report = json.loads(out)
    assert report["verdict"] == "crashed"
    ends = {result["check"]: (result["status"], result["reason"]) for result in report["results"]}
    status, reason = ends["check-activations"]
    assert (status, ends["check-target"][0]) == ("crashed", "passed")
    assert reason.startswith(f"rank {rank}: step ")
    assert " raised ValueError: no more (train.py:" in reason
    assert ends["check-loss"] == ("blocked", "a rank failed in check-activations")


def test_a_factory_that_fails_on_one_rank_ends_all(tmp_path):
    code, out, err = torchrun(tmp_path, "check-parallel", "train.py:dying", "--report=json=report.json")
    assert (code != 0, out) == (True, "")
    assert "babysit: rank 1: dying() raised RuntimeError: no GPU here (train.py:" in err
    assert not (tmp_path / "report.json").exists()


def test_ctrl_c_ends_all_with_a_report(tmp_path):
    started = start(tmp_path, "run", "train.py:slow", CHECKS, "--quiet")
    for _ in range(10 * LIMIT):
        if all((tmp_path / f"rank{rank}").exists() for rank in range(2)):
            break
        time.sleep(0.1)
    os.killpg(started.pid, signal.SIGINT)
    code, out, _ = ended(started)
    assert code != 0
    assert out == "✗ INTERRUPTED  nothing found in 2 checks (2 blocked) - train.py:slow, seed 0\n"
