"""`babysit rules` and `babysit explain`: the rules' own docstrings, for people and for machines."""

import json
import sys
from difflib import get_close_matches

from rich.console import Console

from babysit.check import find_checks, find_rules
from babysit.errors import UsageError
from babysit.render import terminal


def _only_text_or_json(format: str) -> None:
    if format not in ("text", "json"):
        raise UsageError(f"unknown format {format!r}; known here are text, json")


def show_rules(format: str) -> None:
    """Print every rule with its check and its title."""
    _only_text_or_json(format)
    if format == "text":
        terminal.render_rules(find_rules(), Console())
    else:
        listed = [{"rule": id, "check": check.name, "title": rule.title} for id, (check, rule) in find_rules().items()]
        sys.stdout.write(json.dumps(listed, indent=2) + "\n")


def show_rule(id: str, format: str) -> None:
    """Print a rule's page.

    Raises:
        UsageError: There is no such rule; the message names the nearest one.
    """
    _only_text_or_json(format)
    if id in find_checks():
        raise UsageError(f"{id} is a check; its rules are {', '.join(find_checks()[id].rules)}")
    if id not in find_rules():
        near = get_close_matches(id, find_rules(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "; `babysit rules` lists them"
        raise UsageError(f"unknown rule {id!r}{hint}")
    check, rule = find_rules()[id]
    if format == "text":
        terminal.render_rule(check, rule, Console())
    else:
        page = {"rule": id, "check": check.name, "title": rule.title, "sections": rule.page}
        sys.stdout.write(json.dumps(page, indent=2) + "\n")
