"""Where trials are kept: addresses of files and databases, as they are given and as reports may show them."""

import re
from pathlib import Path

from babysit.errors import UsageError
from babysit.messages import shown

_TYPO = re.compile(r"[a-z][a-z\d+.-]+:/(?!/)", re.IGNORECASE)  # more than the letter of a drive
_IN_MEMORY = re.compile(r"sqlite(\+\w+)?:/{2,3}(:memory:)?(\?.*)?")
_CREDENTIALS = re.compile(r"(?:([^:/?@]*)(?::[^@]*)?@)?([^?]*).*", re.DOTALL)
_RELATIVE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/|file:)(.+)")


def located(storage: str, folder: Path) -> str:
    """The storage by a name that says the same in every folder: a URL, or a file's whole path.

    Args:
        storage: As the user named it.
        folder: Where that was.

    Raises:
        UsageError: It looks like a URL, and is none, or nothing would be kept there.
    """
    if _TYPO.match(storage):
        raise UsageError("--storage: a database's URL has two slashes, as in postgresql+psycopg://user@host/name")
    if _IN_MEMORY.fullmatch(storage):
        raise UsageError(f"--storage {storage} is in memory, where nothing lasts: name a file, sqlite:///search.db")
    if found := _RELATIVE.fullmatch(storage):
        return f"{found[1]}{Path(folder, found[2])}"
    return storage if "://" in storage else str(Path(folder, storage))


def hidden(place: str) -> str:
    """The storage as it may be shown: a URL without its password and its query, which may hold one, too."""
    scheme, separator, rest = place.partition("://")
    if not separator:
        return shown(place)
    user, host = _CREDENTIALS.fullmatch(rest).groups(default="")  # type: ignore[union-attr]  # it matches any text
    name, slash, database = host.partition("/")
    return f"{scheme}{separator}{user}{'@' * bool(user)}{name.rpartition('@')[2]}{slash}{database}"
