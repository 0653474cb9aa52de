"""`python -m singan_nb` is the command `singan`."""
from singan_nb.cli import main

if __name__ == "__main__": main()            # a worker process that is spawned imports this file too
