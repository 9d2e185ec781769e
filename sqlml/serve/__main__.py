"""`python -m sqlml.serve`, and the file for spark-submit: the same as `sqlml serve`."""

import sys

from sqlml.cli import main

if __name__ == "__main__":
    main(["serve", *sys.argv[1:]], prog_name="sqlml")
