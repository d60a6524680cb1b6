"""``python -m ocelake``: the command line."""

from __future__ import annotations

from ocelake.cli import main

main()
