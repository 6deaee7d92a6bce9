"""Everything Mainstem needs, on one machine, for development and tests.

What lives here: the launcher of a real PostgreSQL and a real Valkey (`launch.py`),
a stand-in for each upstream (`flux/`, `conduit/`), the fault and recording layer
around both (`faults.py`), the seed data (`data.py`) and the command that starts all
of it (`__main__.py`).

What it must not do: run in production, or import `schema`, `resolvers`, `session` or
`clients`. A stand-in that shared code with the client it tests would share its
mistakes; only `__main__.py` starts the `server`.
"""
