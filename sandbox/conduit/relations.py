"""Who may do what to which resource: the part of ReBAC that the stand-in needs.

A resource is `Type:id`; it has one owner (a user or a team), and people have roles in
teams. Relies on recordings/authorization.json.
"""

from .failures import ModuleError

_ROLES = {
    "owner": frozenset({"read", "edit", "delete"}),
    "editAll": frozenset({"read", "edit"}),
    "readAll": frozenset({"read"}),
    "member": frozenset({"read"}),
}


class Relations:
    """Owners and team roles."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}
        self._roles: dict[tuple[str, str], str] = {}

    def own(self, owner: str, resource: str) -> None:
        """Make `owner` the one owner of a resource."""
        self._owners[resource] = owner

    def give_role(self, user: str, role: str, team: str) -> None:
        """Give a person a role in a team."""
        self._roles[user, team] = role

    def allows(self, user: str, action: str, resource: str) -> bool:
        """Whether a person may, directly or by a team."""
        if resource.startswith("Team:"):
            return action in _ROLES.get(self._roles.get((user, resource), ""), ())
        owner = self._owners.get(resource)
        if owner == user:
            return True
        return (
            owner is not None
            and owner.startswith("Team:")
            and self.allows(user, action, owner)
        )

    def owned_by(self, owner: str, resource: str) -> bool:
        """Whether it is the owner itself."""
        return self._owners.get(resource) == owner

    def check_scope(self, user: str, action: str, scope: str) -> None:
        """Refuse a scope that is malformed or not the caller's. Raises: ModuleError."""
        kind, colon, id = scope.partition(":")
        if not (kind and colon and id):
            raise ModuleError(500, "Object must be a valid resource identifier")
        if scope != user and not self.allows(user, action, scope):
            raise ModuleError(500, f"{user} is not allowed to {action} {scope}")
