"""``python -m stbench``: the same as the ``stbench`` command."""

from stbench.cli import main

main()
