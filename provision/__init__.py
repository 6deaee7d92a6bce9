"""`python -m provision`: brings a real Conduit to `conduit-init.json`, at deploy time.

What lives here: the one place that speaks Conduit's Admin API, a pure comparison of
what is declared with what is there (`plan.py`), and the command around them. It adds;
it never deletes, and never changes what others may rely on.

What it must not do: import any of our other packages, or be imported by one. Its
credentials can do anything to a Conduit and must never come near the running server.
"""
