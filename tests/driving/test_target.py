import pickle
import random
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from babysit.driving import target
from babysit.driving.target import build, locate, names_a_file, split
from babysit.errors import TargetError, UsageError

TRAINER = """
class Trainer:
    task = None
    learning_rate = 0.1
    regularization_scale = 1.0
    batches = evaluate = step = save = load = None
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)
    python, numpy = random.getstate(), np.random.get_state()
    yield tmp_path
    random.setstate(python)
    np.random.set_state(numpy)
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def write(name, source):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(source))


def usage_error(named):
    with pytest.raises(UsageError) as caught:
        build(named, 0)
    return str(caught.value)


def target_error(named):
    with pytest.raises(TargetError) as caught:
        build(named, 0)
    return str(caught.value)


@pytest.mark.parametrize(
    ("named", "parts"),
    [
        ("train.py:trainer", ("train.py", "trainer")),
        (r"C:\me\train.py:trainer", (r"C:\me\train.py", "trainer")),
        (r"C:\me\train.py", (r"C:\me\train.py", "")),
        ("C:/me/train.py", ("C:/me/train.py", "")),
        ("train.py", ("train.py", "")),
        ("train.py:", ("train.py", "")),
        ("package.module:trainer", ("package.module", "trainer")),
        ("package.module", ("package.module", "")),
    ],
)
def test_split(named, parts):
    assert split(named) == parts


@pytest.mark.parametrize(
    ("source", "file"), [("train.py", True), ("a/train", True), ("a.b", False), ("train", False), ("", False)]
)
def test_names_a_file(source, file):
    assert names_a_file(source) is file


def test_builds_from_a_file():
    write("sub/train.py", f"{TRAINER}\ndef trainer():\n    return Trainer()\n")
    assert type(build("sub/train.py:trainer", 0)).__name__ == "Trainer"


def test_builds_from_a_module():
    write("package/__init__.py", "")
    write("package/module.py", f"{TRAINER}\ndef trainer(width=3):\n    return Trainer()\n")
    assert type(build("package.module:trainer", 0)).__name__ == "Trainer"


def test_a_class_is_a_factory():
    write("train.py", TRAINER)
    assert type(build("train.py:Trainer", 0)).__name__ == "Trainer"


def test_the_files_folder_comes_first_on_the_path(folder):
    write("sub/neighbor_of_train.py", "value = 5\n")
    write("sub/train.py", "from neighbor_of_train import value\ndef f():\n    return value\n")
    assert locate("sub/train.py:f")() == 5
    assert sys.path[0] == str(folder / "sub")
    assert Path.cwd() == folder
    locate("sub/train.py:f")
    assert sys.path.count(str(folder / "sub")) == 1


def test_the_module_pickles_and_has_its_name_but_is_not_main():
    write("pickled_by_name.py", "class A: pass\nmain = __name__ == '__main__'\ndef f():\n    return A, main\n")
    kind, main = locate("pickled_by_name.py:f")()
    assert type(pickle.loads(pickle.dumps(kind()))) is kind
    assert kind.__module__ == "pickled_by_name"
    assert not main


@pytest.mark.parametrize("name", ["numpy.py", "my-train.v2.py"])
def test_a_file_whose_name_is_taken_or_no_name_still_loads(name):
    write(name, "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 3\n")
    kind = locate(f"{name}:A")
    assert pickle.loads(pickle.dumps(kind())) == kind(3)
    assert sys.modules["numpy"] is np


def test_a_file_is_read_anew_and_leaves_no_bytecode(folder):
    write("train.py", "def f(): return 1")
    assert locate("train.py:f")() == 1
    write("train.py", "def f(): return 2")
    assert locate("train.py:f")() == 2
    assert [path.name for path in folder.iterdir()] == ["train.py"]


def test_seeds_before_the_import_and_again_before_the_factory():
    write(
        "train.py",
        f"""
import random
import numpy as np
{TRAINER}
drawn = (random.random(), np.random.rand())
random.random()
def trainer():
    made = Trainer()
    made.drawn = [drawn, (random.random(), np.random.rand())]
    return made
""",
    )
    seed_0 = (0.8444218515250481, 0.5488135039273248)  # the first numbers at seed 0
    assert build("train.py:trainer", 0).drawn == [seed_0, seed_0]
    first, second = build("train.py:trainer", 1).drawn
    assert first == second != seed_0


def test_a_program_that_parses_arguments_does_not_see_ours(monkeypatch):
    ours = ["babysit", "run", "train.py:trainer", "--seed", "1"]
    monkeypatch.setattr(sys, "argv", ours)
    factory = "Trainer.seen = sys.argv\ndef trainer():\n    Trainer.later = sys.argv\n    return Trainer()"
    write("train.py", f"import sys\n{TRAINER}\n{factory}")
    made = build("train.py:trainer", 0)
    assert made.seen == made.later == ["train.py"]
    assert sys.argv is ours


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("nowhere.py:trainer", "no such file: nowhere.py"),
        ("nowhere.py", "no such file: nowhere.py"),
        ("sub/nowhere:trainer", "no such file: sub/nowhere"),
        ("folder/:trainer", "no such file: folder/"),
        ("no_such_module:trainer", "no such module: no_such_module"),
        ("no_such_package.module:trainer", "no such module: no_such_package.module"),
        ("good.missing:trainer", "no such module: good.missing"),
        ("good.py:trainr", "good.py has no 'trainr'; did you mean 'trainer'?"),
        ("good.py:trainer()", "good.py has no 'trainer()'; did you mean 'trainer'?"),
        ("good:zzz", "good has no 'zzz'"),
        ("good.py", "name the factory: good.py:trainer or :other"),
        ("good.py:", "name the factory: good.py:trainer or :other"),
        ("bad.py", "name the factory: bad.py:trainer"),
        ("good", "name the factory: good:trainer"),
        (":trainer", "a target is path/to/file.py:factory or package.module:factory, not ':trainer'"),
        (".good:trainer", "a target is path/to/file.py:factory or package.module:factory, not '.good:trainer'"),
        ("", "a target is path/to/file.py:factory or package.module:factory, not ''"),
    ],
)
def test_what_does_not_exist_is_a_usage_error(named, message):
    Path("folder").mkdir()
    write("bad.py", "def (")
    write(
        "good.py",
        """
        from os.path import join
        def trainer(width=3, *sizes, depth=2, **more): ...
        def _private(): ...
        def step(batch): ...
        def keyword(*, needed): ...
        def other(): ...
        class Net: ...
        """,
    )
    assert usage_error(named) == message


def test_naming_the_factory_does_not_run_the_file(capsys):
    write("train.py", "print('ran')\ndef trainer(): ...\n")
    assert usage_error("train.py") == "name the factory: train.py:trainer"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\ndef f(:\n", "importing train.py raised SyntaxError: invalid syntax (train.py:2)"),
        ("x = 1\n\nx / 0\n", "importing train.py raised ZeroDivisionError: division by zero (train.py:3)"),
        (
            "import no_such_module\n",
            "importing train.py raised ModuleNotFoundError: No module named 'no_such_module' (train.py:1)",
        ),
        (
            "from . import x\n",
            "importing train.py raised ImportError: attempted relative import with no known parent package "
            "(train.py:1)",
        ),
        ("import sys\nsys.exit(1)\n", "importing train.py called sys.exit(1)"),
        ("trainer = [1]\n", "trainer in train.py is no function but of type list; name one that returns the trainer"),
        (
            "def trainer(width, *, depth, rate=1): ...\n",
            "trainer() needs arguments (width, depth); a factory takes none, or has defaults",
        ),
        (
            "def make():\n    raise ValueError('boom')\ndef trainer():\n    make()\n",
            "trainer() raised ValueError: boom (train.py:2 in make)",
        ),
        ("import sys\ndef trainer():\n    sys.exit()\n", "trainer() called sys.exit()"),
        ("def trainer():\n    raise SystemExit('no GPU')\n", "trainer() called sys.exit('no GPU')"),
        (
            "from babysit.errors import UsageError\ndef trainer():\n    raise UsageError('mine')\n",
            "trainer() raised UsageError: mine (train.py:3 in trainer)",
        ),
        ("from babysit.errors import TargetError\ndef trainer():\n    raise TargetError('plain')\n", "plain"),
        (
            "def trainer(): ...\n",
            "the factory returned None; it must return a trainer (is a `return` missing?)",
        ),
        (
            f"{TRAINER}\n    del load, step\ndef trainer():\n    return Trainer()\n",
            "the factory returned a Trainer, which is no trainer: it lacks `step`, `load`",
        ),
    ],
)
def test_a_program_that_fails_is_a_target_error(source, message):
    Path("train.py").write_text(source)
    assert target_error("train.py:trainer") == message


def test_a_source_that_is_no_text():
    Path("train.py").write_bytes(b"x = '\xff'\n")
    assert target_error("train.py:trainer").startswith("importing train.py raised SyntaxError: (unicode error)")


def test_a_module_that_lacks_another_is_the_programs_fault():
    write("lacking.py", "\nimport no_such_module\n")
    expected = "importing lacking raised ModuleNotFoundError: No module named 'no_such_module' (lacking.py:2)"
    assert target_error("lacking:trainer") == expected


def test_the_whole_traceback_stays_as_the_cause():
    write("train.py", "def trainer():\n    raise ValueError('boom')\n")
    with pytest.raises(TargetError) as caught:
        build("train.py:trainer", 0)
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.__cause__.__traceback__


def test_a_failed_import_leaves_no_module_behind():
    write("half_imported.py", "1 / 0")
    target_error("half_imported.py:trainer")
    assert not [name for name in sys.modules if name.startswith("half_imported")]


@pytest.mark.parametrize("source", ["raise KeyboardInterrupt", "def trainer():\n    raise KeyboardInterrupt\n"])
def test_ctrl_c_passes_through(source):
    write("train.py", source)
    ours = sys.argv
    with pytest.raises(KeyboardInterrupt):
        build("train.py:trainer", 0)
    assert sys.argv is ours


def test_a_callable_without_a_signature_is_called():
    write("train.py", "trainer = dict\n")
    assert locate("train.py:trainer") is dict


def test_needs_no_numpy_to_be_imported():
    import subprocess

    modules = "babysit.config, babysit.driving.target"
    code = f"import sys, {modules}; sys.exit('numpy' in sys.modules or 'pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(target.__file__).parents[2], check=False)
    assert done.returncode == 0
