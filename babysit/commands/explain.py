"""`babysit rules` and `babysit explain`: the rules' own docstrings, for people and for machines."""

import json
import sys
from difflib import get_close_matches

from rich.console import Console

from babysit.errors import UsageError
from babysit.outline import outlines, rule_outlines
from babysit.reporting.terminal import report


def _only_text_or_json(format: str) -> None:
    if format not in ("text", "json"):
        raise UsageError(f"unknown format {format!r}; known here are text, json")


def show_rules(format: str) -> None:
    """Print every rule with its check and its title."""
    _only_text_or_json(format)
    if format == "text":
        report.render_rules(rule_outlines(), Console())
    else:
        listed = [
            {"rule": id, "check": check.name, "title": rule.title} for id, (check, rule) in rule_outlines().items()
        ]
        sys.stdout.write(json.dumps(listed, indent=2) + "\n")


def show_rule(id: str, format: str) -> None:
    """Print a rule's page.

    Raises:
        UsageError: There is no such rule; the message names the nearest one.
    """
    _only_text_or_json(format)
    if id in outlines():
        raise UsageError(f"{id} is a check; its rules are {', '.join(outlines()[id].rules)}")
    if id not in rule_outlines():
        near = get_close_matches(id, rule_outlines(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "; `babysit rules` lists them"
        raise UsageError(f"unknown rule {id!r}{hint}")
    check, rule = rule_outlines()[id]
    if format == "text":
        report.render_rule(check, rule, Console())
    else:
        page = {"rule": id, "check": check.name, "title": rule.title, "sections": rule.page}
        sys.stdout.write(json.dumps(page, indent=2) + "\n")
