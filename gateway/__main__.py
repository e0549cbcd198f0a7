"""`python -m gateway`, and the program `gateway`."""

from .interrupts import end_at_once_in_imports


def main() -> None:
    """Run the command line and exit with its status."""
    # All other imports come after it.
    end_at_once_in_imports()
    from .cli import main as run

    run()


if __name__ == "__main__":
    main()
