"""``python -m sdeint``: see `sdeint.cli`."""

from sdeint.cli import main

if __name__ == "__main__":
    main(prog_name="python -m sdeint")
