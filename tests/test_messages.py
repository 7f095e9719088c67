import json
import textwrap
from pathlib import Path

import pytest

from babysit import report
from babysit.messages import blame, ran_out_of_memory


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blamed(source, name="train.py", **names):
    path = Path(name).absolute()
    with pytest.raises((ValueError, ArithmeticError, LookupError, AssertionError, SyntaxError)) as caught:
        exec(compile(textwrap.dedent(source), str(path), "exec"), names)
    return blame(caught.value.with_traceback(caught.tb.tb_next))  # without this file's own frame


def test_names_the_innermost_line_and_its_function():
    source = """\
    def outer():
        inner()
    def inner():
        raise ValueError("boom")
    outer()
    """
    assert blamed(source) == "ValueError: boom (train.py:4 in inner)"


def test_names_no_function_at_the_top_of_a_file():
    assert blamed("\n1 / 0") == "ZeroDivisionError: division by zero (train.py:2)"


def test_prefers_the_users_line_to_the_librarys():
    assert blamed("def f():\n    json.loads('{')\nf()", json=json).endswith(" (train.py:2 in f)")


def test_prefers_the_users_line_to_ours():
    assert blamed("report.Severity('x')", report=report) == "ValueError: 'x' is not a valid Severity (train.py:1)"


def test_prefers_an_installed_package_to_ours(folder):
    place = "lib/python3/site-packages/net/layer.py"
    ours = Path(report.__file__).parent / "bench.py"
    source = f"exec(compile('def f(): 1 / 0', {str(folder / place)!r}, 'exec'))\nf()"
    assert blamed(source, ours) == f"ZeroDivisionError: division by zero ({place}:1 in f)"


def test_does_not_name_ours_where_there_is_no_other():
    ours = Path(report.__file__).parent / "bench.py"
    assert blamed("1 / 0", ours) == "ZeroDivisionError: division by zero"


def test_names_ours_where_we_are_to_blame():
    ours = Path(report.__file__).parent / "bench.py"
    with pytest.raises(ZeroDivisionError) as caught:
        exec(compile("1 / 0", str(ours), "exec"))
    error = caught.value.with_traceback(caught.tb.tb_next)
    assert blame(error, ours=True) == f"ZeroDivisionError: division by zero ({ours}:1)"


def test_a_file_elsewhere_has_its_whole_path(folder):
    elsewhere = folder.parent / "elsewhere.py"
    assert blamed("1 / 0", elsewhere) == f"ZeroDivisionError: division by zero ({elsewhere}:1)"


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        ("KeyError('W1')", "KeyError: 'W1'"),
        ("AssertionError", "AssertionError"),
        ("ValueError('two\\n  lines')", "ValueError: two lines"),
        ("ValueError('word ' * 1000)", "ValueError: " + "word " * 79 + "..."),
    ],
)
def test_the_text_is_one_short_line(raised, text):
    assert blamed(f"raise {raised}") == f"{text} (train.py:1)"


def test_a_syntax_error_has_its_own_place():
    assert blamed("x = (\n") == "SyntaxError: '(' was never closed (train.py:1)"
    assert blamed("\neval('1 +')") == "SyntaxError: invalid syntax (<string>, line 1) (train.py:2)"


def test_an_error_that_was_never_raised_has_no_place():
    assert blame(ValueError("boom")) == "ValueError: boom"


class OutOfMemoryError(RuntimeError):
    """As `torch.OutOfMemoryError` is called; by its name alone."""


class Wrapped(OutOfMemoryError):
    pass


def caused(error):
    outer = ValueError("the step failed")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (MemoryError("Unable to allocate 3.0 TiB for an array"), True),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."), True),
        (Wrapped(""), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:115] . DefaultCPUAllocator: can't allocate memory: you"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."), True),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate"), True),
        (caused(MemoryError()), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("the replay buffer is out of memory cells"), False),
        (caused(KeyError("memory")), False),
    ],
)
def test_memory_that_was_short(error, expected):
    assert ran_out_of_memory(error) is expected
