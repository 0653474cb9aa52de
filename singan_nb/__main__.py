"""`python -m singan_nb` is the command `singan`."""
from singan_nb.cli import main

main()
