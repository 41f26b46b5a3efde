"""`python -m stoker`: the command, where its script is not on the path."""

from stoker.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
