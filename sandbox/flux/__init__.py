"""A stand-in for Flux: its gateway and a PostgREST 12.2 dialect on a real PostgreSQL.

`create_flux_app` is all that others need; `tenant.py` prepares the database. Requests
go `app.py` → `gateway.py` (who are you, may you) → `rest.py` (what do you want) →
`query.py` (grammar) → `sql.py` (one SQL statement) → `database.py` (run it as the
caller's role). What it answers is held to the recordings by
`tests/sandbox/flux/test_recordings.py`.

It must not import `clients`: a mistake made on both sides would never show.
"""
