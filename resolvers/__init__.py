"""Says how a field is answered: plain async Python over the clients and the session.

Called by `schema/`. What lives here: the request's context, loaders, pages with their
cursors, and one file per domain: `get_`, `list_`, `create_`, `update_`, `delete_`.

What it must not do: know strawberry or any GraphQL type, build a URL, read the
environment, or call an upstream once per row of a list (a loader does that).
"""
