"""Checks the Python version in words that any Python 3 understands, then hands over to `installers.setup`."""

import sys

OLDEST = (3, 11)


def main():  # type: () -> int
    """Refuse an old Python before a newer syntax is read."""
    if sys.version_info < OLDEST:
        sys.stderr.write(
            "Set-up stopped at: Python\n"
            "  why: this is Python {}.{}; Gatehouse needs {}.{} or newer.\n"
            "  how to go on: install a newer Python and run: make setup PYTHON=python3.12\n".format(
                *(tuple(sys.version_info[:2]) + OLDEST)
            )
        )
        return 1
    from installers import setup  # only now: the modules behind it are written for the newer Python

    return setup.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
