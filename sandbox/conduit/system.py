"""The schemas that Conduit's own modules bring: User, File and Team.

None has built-in routes (recordings/database_read.json); custom endpoints and
`populate` reach them.
"""

from .declarations import Document, Schema, schema_from

PROVIDERS = (
    "apple",
    "bitbucket",
    "facebook",
    "figma",
    "github",
    "gitlab",
    "google",
    "linkedin",
    "microsoft",
    "reddit",
    "slack",
    "twitch",
    "twitter",
)


def user_schema() -> Schema:
    """The authentication module's schema, without the password hash."""
    texts = ("email", "username", "twoFaMethod", "phoneNumber")
    flags = ("active", "isVerified", "hasTwoFA", "isAnonymous")
    return schema_from(
        {
            "name": "User",
            "fields": dict.fromkeys(texts, "String")
            | dict.fromkeys(flags, "Boolean")
            | dict.fromkeys(("metamask", *PROVIDERS), "JSON"),
        }
    )


def new_user(email: str, username: str | None = None) -> Document:
    """A user's fields at sign-up, as recordings/auth.json shows them."""
    provider = {"id": None, "token": None, "tokenExpires": None, "data": None}
    return {
        "email": email,
        "username": username,
        "active": True,
        "isVerified": False,
        "hasTwoFA": False,
        "metamask": {"ethPublicAddress": None, "nonce": None},
        **{name: dict(provider) for name in PROVIDERS},
    }


def file_schema() -> Schema:
    """The storage module's schema."""
    text = {"type": "String", "sqlType": "Text"}
    names = ("name", "alias", "folder", "container", "mimeType")
    return schema_from(
        {
            "name": "File",
            "fields": dict.fromkeys(names, "String")
            | {"url": text, "sourceUrl": text}
            | {"size": "Number", "isPublic": "Boolean"},
        }
    )


def team_schema() -> Schema:
    """The authentication module's teams, as recordings/authorization.json shows."""
    fields = {"name": "String", "parentTeam": "String", "isDefault": "Boolean"}
    return schema_from({"name": "Team", "fields": fields})
