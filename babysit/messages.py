"""Words for people: where an exception came from in the user's own program, whether memory was short, paths."""

import sysconfig
import textwrap
import traceback
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path

LONGEST = 400  # characters of the error's text; PyTorch's run to pages

_MEMORY_TYPES = frozenset({"MemoryError", "OutOfMemoryError", "ResourceExhaustedError"})  # Python, PyTorch, TensorFlow
# As PyTorch's allocators (CPU, CUDA, MPS) and JAX word it where they raise a mere RuntimeError.
_MEMORY_TEXTS = ("can't allocate memory", "not enough memory", "out of memory", "alloc_failed", "resource_exhausted")
LESS_MEMORY = "smaller batches, a smaller model or more memory would do"

_BABYSIT = Path(__file__).parent
_STANDARD = Path(sysconfig.get_path("stdlib"))


def blame(error: BaseException, *, ours: bool = False) -> str:
    """The error in one line with its place: "ValueError: boom (train.py:12 in step)".

    The place is the innermost line of the user's own code; that of an installed package, of babysit or of
    Python only where nothing of the user's took part.
    """
    if isinstance(error, SyntaxError) and error.filename and not error.filename.startswith("<"):
        return f"{type(error).__name__}: {error.msg} ({shown(error.filename)}:{error.lineno or 1})"
    text = textwrap.shorten(str(error), LONGEST, placeholder=" ...")
    return f"{type(error).__name__}{': ' * bool(text)}{text}{_place(error, ours)}"


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether the error, or what it was raised from, says that memory was short; no framework is asked."""
    if _MEMORY_TYPES & {kind.__name__ for kind in type(error).__mro__}:
        return True
    text = str(error).lower()
    if isinstance(error, RuntimeError) and any(words in text for words in _MEMORY_TEXTS):
        return True
    return error.__cause__ is not None and ran_out_of_memory(error.__cause__)


def shown(path: str) -> str:
    """The path as seen from the working folder, if it is inside."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _place(error: BaseException, ours: bool) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    if not frames:
        return ""
    ranks = (0, 2, 1, 3) if ours else (0, 1, 2, 3)
    frame = min(reversed(frames), key=lambda frame: ranks.index(_distance(frame)))
    if not ours and _distance(frame) == 2:
        return ""  # the user can do nothing about a line of babysit's
    where = "" if frame.name == "<module>" else f" in {frame.name}"
    return f" ({shown(frame.filename)}:{frame.lineno}{where})"


def _distance(frame: traceback.FrameSummary) -> int:
    """How far from the user's own code: 0 for it, 1 for installed packages, 2 for babysit, 3 for Python's own."""
    path = Path(frame.filename)
    if path.is_relative_to(_BABYSIT):
        return 2
    if {"site-packages", "dist-packages"} & set(path.parts):
        return 1
    return 3 if path.is_relative_to(_STANDARD) else 0


def unknown(known: Collection[str], name: str, complaint: str) -> str:
    """That a name is none of `known`, with the nearest one that is; `complaint` is as "unknown key"."""
    near = get_close_matches(name.lower(), known, n=1)
    listed = "`babysit rules` lists them" if complaint.endswith("rule") else f"known are {', '.join(known)}"
    return f"{complaint} {name!r}; " + (f"did you mean {near[0]!r}?" if near else listed)
