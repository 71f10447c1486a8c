"""The `mfd` program, and `python -m mfd`."""

import sys

from mfd.stopping import install_exit_at_once


def main() -> int:
    """The exit code of the command on the command line."""
    install_exit_at_once()  # before anything that takes long to import
    from mfd.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
