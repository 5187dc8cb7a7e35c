# SPDX-License-Identifier: BSD-3-Clause
"""The command line, ``python -m wspace``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import metadata

from wspace.demo import DemoError, command


def build_parser() -> argparse.ArgumentParser:
    """Declare the command line: a subcommand, each with its own arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m wspace",
        description=metadata.metadata("wspace")["Summary"],
        epilog="'python -m wspace COMMAND --help' tells more about a command",
    )
    parser.add_argument(
        "--version", action="version", version=f"wspace {metadata.version('wspace')}"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    demo = commands.add_parser(
        "demo",
        help=command.SUMMARY,
        description=command.DESCRIPTION,
        epilog=command.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_to(demo)
    demo.set_defaults(run=command.main)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default.

    Returns
    -------
    int
        Exit status: 0 for success, 1 for failure. Wrong arguments exit with 2.
    """
    parsed = build_parser().parse_args(arguments)
    try:
        status: int = parsed.run(parsed)
    except DemoError as error:
        notes = getattr(error, "__notes__", [])
        print(f"python -m wspace: {error}", *notes, sep="\n", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
