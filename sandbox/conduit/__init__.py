"""A stand-in for Conduit, faithful enough that a client cannot tell.

What lives here: authentication, database routes, custom endpoints, storage with its
own file server, the router around them, a small part of GraphQL, all over documents
in memory that behave as on PostgreSQL; and as much of the Admin API as provisioning
needs. `ConduitState` holds everything and takes the seed data; `create_conduit_app`,
`create_file_server` and `create_admin_app` make the three ASGI applications.

What it must not do: import any of our other packages, or serve anything but
development and tests. What it claims is replayed by tests/sandbox/conduit against
recordings of a real Conduit.
"""

from .admin import create_admin_app
from .declarations import Declarations, load_declarations
from .router import create_conduit_app, create_file_server
from .settings import Client, ConduitSettings
from .state import ConduitState

__all__ = [
    "Client",
    "ConduitSettings",
    "ConduitState",
    "Declarations",
    "create_admin_app",
    "create_conduit_app",
    "create_file_server",
    "load_declarations",
]
