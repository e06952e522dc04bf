"""The command line: parses, calls, prints. Heavy imports happen only when a command runs."""

from __future__ import annotations

import sys

from stbench.cli.app import app
from stbench.errors import EXIT_USER_ERROR, UserError
from stbench.report.encode import visible

EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the command line; user errors give one message and exit code 2, Ctrl-C exit code 130."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        app()
    except UserError as error:
        if debug:
            raise
        print("\n".join(map(visible, f"Error: {error}".splitlines())), file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except OSError as error:  # a full disk or a missing folder is not a bug
        if debug:
            raise
        print(
            f"Error: {visible(str(error))}. Free space or check permissions; finished runs are kept.", file=sys.stderr
        )
        sys.exit(EXIT_USER_ERROR)
    except MemoryError as error:
        if debug:
            raise
        print(f"Error: {visible(str(error))}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
