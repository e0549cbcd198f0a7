"""`python -m gateway`."""

from .cli import main

if __name__ == "__main__":
    main()
