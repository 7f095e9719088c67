"""The command's entry: `babysit` and `python -m babysit`."""

import sys
import time


def main() -> None:
    """Run the command line; every way out has one of the exit codes of `babysit.report.ExitCode`."""
    started = time.perf_counter()  # ahead of all imports, which whoever called waits for
    from babysit.errors import BabysitError

    try:
        from babysit.cli import app

        app(obj=started)
    except BabysitError as error:
        sys.stderr.write(f"babysit: {_rank()}{error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        from babysit.report import ExitCode

        sys.stderr.write("babysit: interrupted\n")
        sys.exit(ExitCode.INTERRUPTED)
    except Exception as error:  # noqa: BLE001  # the edge: a crash must not read as "findings", nor as a traceback
        from babysit.messages import blame
        from babysit.report import ExitCode

        sys.stderr.write(f"babysit: this is a fault of babysit's own, please report it: {blame(error, ours=True)}\n")
        sys.exit(ExitCode.TARGET)


def _rank() -> str:
    from babysit.driving.ranks import launched_rank

    return f"rank {rank}: " if (rank := launched_rank()) else ""


if __name__ == "__main__":
    main()
