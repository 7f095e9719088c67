"""Targets: `path/to/file.py:factory` or `package.module:factory` -> Trainer.

A target that doesn't exist is the command line's fault (`UsageError`); one that exists and fails is the
program's own (`TargetError`), with the line of the program that did it.
"""

import ast
import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_loader
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

from babysit.errors import TargetError, UsageError
from babysit.messages import blame

if TYPE_CHECKING:
    from babysit.trainer import Trainer

T = TypeVar("T")


def build(target: str, seed: int) -> "Trainer":
    """Import the target and call its factory, the global generators seeded before each of the two.

    Args:
        target: What the user named.
        seed: 0 to 2^32 - 1.

    Raises:
        UsageError: There is no such file, module or factory.
        TargetError: The program fails as it is imported or as the factory is called, or returns no trainer.
    """
    return imported(target, seed).build(seed)


@dataclass(frozen=True)
class Factory:
    """A target's function, imported once, to be called as often as one likes.

    Args:
        target: What the user named.
        call: The function.
    """

    target: str
    call: Callable[..., object]

    @property
    def name(self) -> str:
        """The function's, as the target names it."""
        return split(self.target)[1]

    @property
    def keywords(self) -> tuple[str, ...] | None:
        """The hyperparameters that it takes by name; None where it takes any, or doesn't tell."""
        try:
            parameters = inspect.signature(self.call).parameters.values()
        except (TypeError, ValueError):  # some callables written in C don't tell
            return None
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            return None
        return tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))

    @property
    def text(self) -> bytes:
        """The file that the target names; empty where there is none."""
        source = split(self.target)[0]
        found = source if names_a_file(source) else getattr(sys.modules.get(source), "__file__", None)
        try:
            return Path(found).read_bytes() if found else b""
        except OSError:  # not every file has stayed
            return b""

    def build(self, seed: int, hyperparameters: Mapping[str, object] | None = None) -> "Trainer":
        """A trainer with these hyperparameters, the global generators seeded first.

        Raises:
            TargetError: The program fails, or returns no trainer.
        """
        from babysit.adapters import wrap
        from babysit.driving.ranks import launched_rank
        from babysit.seeds import seed_everything

        given = dict(hyperparameters or {})
        shown = ", ".join(f"{name}={value!r}" for name, value in given.items())
        seed_everything(seed + launched_rank())
        with _arguments_of(split(self.target)[0]):
            made = _drive(f"{self.name}({shown})", lambda: self.call(**given))
            return _drive(f"wrapping what {self.name}({shown}) returned", lambda: wrap(made))


@dataclass(frozen=True)
class Source:
    """Where trainers come from.

    Args:
        factory: Makes them.
        seed: The run's.
        folder: The working folder when the command was called.
    """

    factory: Factory
    seed: int
    folder: Path


def imported(target: str, seed: int) -> Factory:
    """The target's factory, the global generators seeded before the import.

    Args:
        target: What the user named.
        seed: 0 to 2^32 - 1.

    Raises:
        UsageError: There is no such file, module or factory.
        TargetError: The program fails as it is imported.
    """
    from babysit.driving.ranks import launched_rank
    from babysit.seeds import seed_everything

    seed_everything(seed + launched_rank())  # a rank its own: dropout must not be the same on all
    return Factory(target, locate(target))


def locate(target: str) -> Callable[[], object]:
    """Import the target's file or module and find the factory in it.

    The file's folder, or for a module the working folder, comes first on `sys.path`, as `python file.py` or
    `python -m package.module` has it.

    Raises:
        UsageError: There is no such file, module or factory.
        TargetError: The import fails, or the factory is no function that can be called without arguments.
    """
    source, name = split(target)
    if not all(source.split(".")) and not names_a_file(source):
        raise UsageError(f"a target is path/to/file.py:factory or package.module:factory, not {target!r}")
    if names_a_file(source) and not Path(source).is_file():
        raise UsageError(f"no such file: {source}")
    if not name:
        raise UsageError(f"name the factory: {source}:{' or :'.join(_candidates(source) or ['trainer'])}")
    with _arguments_of(source):
        module = _load_file(Path(source)) if names_a_file(source) else _load_module(source)
    return _factory(module, source, name)


def split(target: str) -> tuple[str, str]:
    r"""The file or module, and the factory or ""; the colon of `C:\train.py` is none of ours."""
    source, colon, factory = target.rpartition(":")
    return (source, factory) if colon and not {"/", "\\"} & set(factory) else (target, "")


def names_a_file(source: str) -> bool:
    """Whether it is a path rather than a module's dotted name."""
    return source.endswith(".py") or "/" in source or os.sep in source


def _candidates(source: str) -> list[str]:
    """The file's public functions that need no arguments; found without running it."""
    if not names_a_file(source):
        return []
    try:
        tree = ast.parse(Path(source).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    return [f.name for f in functions if _needs_nothing(f.args)]


def _needs_nothing(args: ast.arguments) -> bool:
    return len(args.posonlyargs + args.args) == len(args.defaults) and None not in args.kw_defaults


def _load_file(path: Path) -> ModuleType:
    """Run the file as a module that pickles by name, reading no stale bytecode and leaving none."""
    _put_first(path.parent)
    name = _module_name(path)
    loader = SourceFileLoader(name, str(path.absolute()))
    spec = spec_from_loader(name, loader)
    assert spec  # for a loader of files there always is one
    module = sys.modules[name] = module_from_spec(spec)

    def run() -> ModuleType:
        exec(loader.source_to_code(loader.get_data(loader.path), loader.path), vars(module))
        return module

    try:
        return _drive(f"importing {path}", run)
    except BaseException:
        sys.modules.pop(name, None)
        raise


def _module_name(path: Path) -> str:
    """The file's own name where that is free, so that worker processes can import what is pickled by it."""
    if path.stem not in sys.modules:
        spec = find_spec(path.stem) if path.stem.isidentifier() else None
        if spec and spec.origin == str(path.absolute()):
            return path.stem
    stem = re.sub(r"\W", "_", path.stem)  # a dot would make a package of it
    return next(name for n in count() if (name := f"{stem}_{n}") not in sys.modules)


def _load_module(name: str) -> ModuleType:
    _put_first(Path())

    def load() -> ModuleType | None:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name and f"{name}.".startswith(f"{error.name}."):
                return None  # the module named is what's missing, not one that it imports
            raise

    module = _drive(f"importing {name}", load)
    if module is None:
        raise UsageError(f"no such module: {name}")
    return module


def _put_first(folder: Path) -> None:
    first = str(folder.absolute())
    if sys.path[:1] != [first]:
        sys.path.insert(0, first)


@contextmanager
def _arguments_of(source: str) -> Iterator[None]:
    """Hide babysit's own arguments from a program that parses its own."""
    ours, sys.argv = sys.argv, [source]
    try:
        yield
    finally:
        sys.argv = ours


def _factory(module: ModuleType, source: str, name: str) -> Callable[[], object]:
    if not hasattr(module, name):
        callables = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        near = get_close_matches(name, callables, n=1)
        raise UsageError(f"{source} has no {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    factory = getattr(module, name)
    if not callable(factory):
        kind = type(factory).__name__
        raise TargetError(f"{name} in {source} is no function but of type {kind}; name one that returns the trainer")
    if missing := _required(factory):
        raise TargetError(f"{name}() needs arguments ({', '.join(missing)}); a factory takes none, or has defaults")
    checked: Callable[[], object] = factory
    return checked


def _required(factory: Callable[..., object]) -> list[str]:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # some callables written in C don't tell
        return []
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in optional]


def _drive(what: str, call: Callable[[], T]) -> T:
    """Call into the user's program; whatever it raises becomes one message."""
    try:
        return call()
    except (TargetError, KeyboardInterrupt):
        raise
    except SystemExit as error:
        code = "" if error.code is None else repr(error.code)
        raise TargetError(f"{what} called sys.exit({code})") from error
    except BaseException as error:  # the user's code may raise anything
        raise TargetError(f"{what} raised {blame(error)}") from error
