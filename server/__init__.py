"""The door: HTTP in, HTTP out.

Lives here: the application factory, the settings, the door, the GraphQL and
preview routes, health, the connectivity check and the vendored GraphiQL. Started by
`python -m server`. It builds what the layers below need and hands it down; it must not
hold a rule about notes, posts, files or users, and must not speak to an upstream except
through `clients/`. Nothing is built at import: `create_app(settings)` builds it all.
"""
