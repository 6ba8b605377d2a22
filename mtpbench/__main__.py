"""`python -m mtpbench`."""

from mtpbench.cli import main

main()
