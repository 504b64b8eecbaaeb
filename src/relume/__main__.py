"""`python -m relume` is `relume`."""

from relume.cli import command

if __name__ == "__main__":
    command()
