"""`babysit judge`: a saved report, judged again."""

from dataclasses import replace
from pathlib import Path

from babysit import runner
from babysit.checks import find_checks
from babysit.commands.plan import plan
from babysit.commands.publish import publish
from babysit.config import file as configuration
from babysit.config.options import Options, configured
from babysit.errors import UsageError
from babysit.report import ExitCode


def judge(path: Path, options: Options) -> ExitCode:
    """Judge a saved report again, under its own settings with `--set` on top. Nothing is trained."""
    from babysit.reporting.formats import json

    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a JSON report: it is not UTF-8 text") from None
    checks = find_checks()
    config = configured(replace(options, set=()))
    try:
        saved = json.read(text)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    ran = {result.check: checks[result.check].settings(**result.settings) for result in saved.results}
    settings = {**config.settings, **ran}
    config = configuration.override(replace(config, settings=settings), options.set, checks, saved=True)
    return publish(runner.conclude(saved, saved.results, plan(config, checks, ran=ran)), config)
