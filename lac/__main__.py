"""The console command `lac` as a module: ``python -m lac COMMAND``."""

from lac.cli import main

if __name__ == "__main__":
    main()
