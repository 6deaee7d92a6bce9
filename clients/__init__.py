"""Speaks to the upstreams, in their own terms: one folder for each.

What lives here: the wire (`http.py`), the exception tree (`errors.py`), and per
upstream its records, its dialect and the one table of its failures.

What it must not do: know GraphQL, sessions or settings; import any other package
of ours; pass an upstream's text on in anything but an exception's message.
"""
