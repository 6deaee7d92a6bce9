"""The authorization module's one question that clients ask.

Relies on recordings/authorization.json.
"""

from .declarations import Input
from .failures import ModuleError
from .parameters import QUERY
from .routes import Call, Route
from .state import ConduitState


class Authorization:
    """The authorization module."""

    def __init__(self, state: ConduitState) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """What it serves."""
        inputs = (
            Input("resource", "String", QUERY),
            Input("action", "String", QUERY),
            Input("scope", "String", QUERY, optional=True),
        )
        return [Route("GET", "/authorization/check", self._check, inputs)]

    async def _check(self, call: Call) -> object:
        user = f"User:{call.user_id}"
        action, resource = call.parameters["action"], call.parameters["resource"]
        relations = self._state.relations
        if scope := call.parameters.get("scope"):
            if not relations.allows(user, "read", scope):
                raise ModuleError(403, f"{user} is not allowed to read {scope}")
            return {"allowed": relations.owned_by(scope, resource)}
        return {"allowed": relations.allows(user, action, resource)}
