"""Set-up: from a bare clone to a working environment, with the standard library alone.

Run as `python3 -m installers` from the project's folder; `make setup` does so.
"""
