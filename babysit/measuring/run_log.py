"""The record of a monitored run: a file of JSON lines, one object a line, written while the run goes.

The first line is `{"schema_version": 1, "kind": "run", ...}` and says what was run: the version of babysit, the name of
the metric, the learning rate, the updates or epochs asked for. Each other line has a `kind` and a `step`, the number of
updates made by then:

    {"kind": "step", "step": 17, "loss": 1.93, "penalty": 0.01}   one update: its loss in training mode, from before it
    {"kind": "moment", "step": 22,                                a look in evaluation mode at parts of both splits:
     "loss": 1.8, "error": 0.02, "score": 0.4,                    mean loss, its standard error, metric; NaN for none
     "val_loss": 1.9, "val_error": 0.03, "val_score": 0.3,
     "dead": {"relu1": 0.1}, "saturated": {}}                     by layer: share of units dead, of outputs saturated
    {"kind": "weights", "step": 23,                               a look at the weights, by parameter:
     "ratios": {"fc.weight": 0.0012},                             what the update moved over what stood
     "gradients": {"fc.weight": 0.3}}                             and the norm of the gradient that it used
    {"kind": "end", "step": 300, "reason": ""}                    the last line, which a killed run lacks

NaN and the infinities are the strings "NaN", "Infinity" and "-Infinity". Later versions may add kinds and fields;
readers skip what they don't know.
"""

import contextlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from babysit.errors import UsageError
from babysit.messages import shown

SCHEMA_VERSION = 1
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

Row: TypeAlias = Mapping[str, Any]
Write: TypeAlias = Callable[..., None]  # (kind, **fields)


@contextlib.contextmanager
def writing(path: str, **told: Any) -> Iterator[Write]:
    """A way to add rows to a new file, each in the file by the time the call returns; to none where the path is empty.

    Args:
        path: The file; one that is there is overwritten.
        told: What the first line says of the run.

    Raises:
        UsageError: The file can't be written.
    """
    if not path:
        yield lambda kind, **fields: None  # noqa: ARG005
        return
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(Path(path).open("wb", buffering=0))  # a killed run leaves nothing in a buffer
        except OSError as error:
            raise _refused(path, error) from None

        def write(kind: str, **fields: Any) -> None:
            add({"kind": kind, **fields})

        def add(row: Row) -> None:
            try:
                file.write(f"{json.dumps(_plain(row), allow_nan=False)}\n".encode())
            except OSError as error:
                raise _refused(path, error) from None

        add({"schema_version": SCHEMA_VERSION, "kind": "run", **told})
        yield write


def _refused(path: str, error: OSError) -> UsageError:
    return UsageError(f"{shown(path)} can't be written: {error.strerror}")


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return next(name for name, number in _NOT_FINITE.items() if repr(number) == repr(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def read(path: str | Path) -> list[Row]:
    """The rows of a record, the one about the run first. A last line that a killed run has cut short is left out.

    Raises:
        UsageError: The file can't be read or is no such record; the message names the line.
    """
    try:
        text = Path(path).read_bytes().decode()
    except OSError as error:
        raise UsageError(f"{shown(str(path))} can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{shown(str(path))}:{line}: not UTF-8 text") from None
    lines = text.split("\n")[:-1]  # what follows the last line's end is nothing, or a line cut short
    rows = [_row(line, f"{shown(str(path))}:{number}") for number, line in enumerate(lines, 1)]
    version = rows[0].get("schema_version") if rows else None
    if version != SCHEMA_VERSION:
        told = f"it has schema_version {version!r}" if version is not None else "its first line has no schema_version"
        raise UsageError(f"{shown(str(path))}:1: not a record that this babysit reads: {told}, not {SCHEMA_VERSION}")
    return rows


def _row(line: str, place: str) -> Row:
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        raise UsageError(f"{place}: not a line of JSON") from None
    if not isinstance(row, dict) or not isinstance(row.get("kind"), str):
        raise UsageError(f'{place}: not an object with a "kind"')
    found: Row = _numbers(row)
    return found


def _numbers(value: Any) -> Any:
    """The value with floats where the file has words for them, `kind` and the like left alone."""
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value
