"""`python -m relume` is `relume`."""

from relume.cli import main

if __name__ == "__main__":
    main()
