"""`python -m ctorrent`: the same as the `ctorrent` command."""

from ctorrent.cli.main import main

if __name__ == "__main__":
    main()
