"""sdedit_jax from the command line: `python main.py --config configs/landscapes.py --mode edit`."""

from sdedit_jax.cli import main

if __name__ == "__main__":
    main()
