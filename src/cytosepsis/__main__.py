"""`python -m cytosepsis`: the same as the command `cytosepsis`."""

from cytosepsis.cli import main

main()
