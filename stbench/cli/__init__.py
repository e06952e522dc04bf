"""The command line: parses, calls, prints. Heavy imports happen only when a command runs."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress

from stbench.cli.app import app
from stbench.errors import EXIT_MACHINE, EXIT_USER_ERROR, MachineError, UserError, first_line, is_machine_fault
from stbench.lazy import collect_seldom
from stbench.report.encode import visible
from stbench.train.launch import QUIET_LOG, reports_mistakes

EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the command line.

    A mistake becomes one message and exit code 2, a fault of the machine one and exit code 1, Ctrl-C exit code 130.
    """
    collect_seldom()
    try:
        _main()
    finally:
        gc.freeze()  # or Python would look at all objects again at its end, when the system frees them anyway


def _main() -> None:
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    if "TORCHELASTIC_RUN_ID" in os.environ or "SLURM_STEP_ID" in os.environ:  # one of several processes, perhaps
        os.environ.update(QUIET_LOG | os.environ)
    try:
        app()
    except (UserError, MemoryError) as error:
        if debug:
            raise
        _end(f"Error: {error}", EXIT_USER_ERROR)
    except KeyboardInterrupt:
        _end("Interrupted.", EXIT_INTERRUPTED)
    except Exception as error:
        if debug or not is_machine_fault(error):
            raise
        advice = "" if isinstance(error, MachineError) else ". Free space or check permissions; finished runs are kept."
        _end(f"Error: {first_line(error)}{advice}", EXIT_MACHINE)


def _end(text: str, code: int) -> None:
    """Leave with a message, also where nobody reads the streams any more; helpers leave it to the first process."""
    with suppress(OSError, ValueError):
        if reports_mistakes():
            print("\n".join(map(visible, text.splitlines())), file=sys.stderr, flush=True)
    try:
        sys.stdout.flush()
    except (OSError, ValueError):  # or the interpreter would complain at its end, and change the exit code
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
