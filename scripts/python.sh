#!/bin/sh
# Prints a Python that can make our virtual environment: $PYTHON, else the first of the list.
# 3.11 to 3.14: below, the language is too old; above, our dependencies have no wheels yet.
set -eu

suits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null
}

# `python3` first: it is the one that its owner chose.
for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
    if command -v "$candidate" >/dev/null && suits "$candidate"; then
        python=$candidate
        break
    fi
done
if [ -z "${python:-}" ]; then
    echo "sqlml needs Python 3.11 to 3.14; none of these is: ${PYTHON:-python3, python3.11 … python3.14}." >&2
    echo "Install one, or name it: make PYTHON=/path/to/python3.12 …" >&2
    exit 1
fi

# Debian and Ubuntu ship Python without what `python -m venv` needs.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing $package …" >&2
        { apt-get update -qq && apt-get install -y -qq "$package"; } >&2
    else
        echo "$python cannot make virtual environments. Type: sudo apt-get install -y $package" >&2
        exit 1
    fi
fi
echo "$python"
