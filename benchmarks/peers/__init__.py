"""Servers of other makers, measured beside ours: `make bench-peers`.

What lives here: our programs for them (`node/`, `hive/`, `tailcall/`), the table of
how they are started (`table.py`), and their installation (`install.py`). Their
packages are installed into `.build/`, by lock file, and never committed; without npm,
or where one of them does not install, the comparison runs without it and says so.
"""
