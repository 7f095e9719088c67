"""What a configuration asks for."""

from collections.abc import Collection, Mapping

from babysit.check import Check
from babysit.config.file import Config
from babysit.driving.ranks import launched_together
from babysit.errors import UsageError
from babysit.running.plan import Plan


def plan(
    config: Config, checks: Mapping[str, Check], only: str | None = None, *, ran: Collection[str] | None = None
) -> Plan:
    """What a configuration asks for.

    Args:
        config: Its `select` names checks and rules; a rule brings its check along.
        checks: All checks by name, in the lecture's order.
        only: The one check to run.
        ran: Those that have run already, and are to be judged.

    Raises:
        UsageError: Something is selected that is not among what can be.
    """
    together = launched_together()
    usual = {name for name, check in checks.items() if check.usual or (together and check.together)}
    chosen, rules = usual if ran is None else set(ran), None
    if config.select:
        names = set(config.select)
        chosen = {name for name, check in checks.items() if name in names or names & set(check.rules)}
        for name in chosen:
            if checks[name].alone and name != only and ran is None:
                raise UsageError(f"{name} is no part of a run; it is a command of its own: babysit {name}")
        rules = frozenset(id for name in names for id in (checks[name].rules if name in checks else (name,)))
    if only is not None:
        if config.select and only not in chosen:
            raise UsageError(f"nothing of {only} is selected: {', '.join(config.select)}")
        chosen = {only}
    return Plan(
        checks=tuple(check for name, check in checks.items() if name in chosen),
        settings=config.settings,
        rules=rules,
        ignore=config.ignore,
        expected=config.expected,
        budget=config.budget,
        fail_fast=config.fail_fast,
    )
