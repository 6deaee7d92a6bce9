"""Counts and costs of the named queries: `make bench`, `make profile`.

What lives here: a stub upstream, two servers to compare ours with, a load generator
and the arithmetic between them; README.md tells the method. Development only; nothing
imports this package but `trials/`, for how programs are started. The server that is
measured runs as a process of its own, started as in production: nothing here may reach
into it or switch parts of it off.
"""
