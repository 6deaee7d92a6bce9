"""Modules and their settings in the Admin API: `/config`.

Only the settings that the stand-in acts on, but the router's whole; a change is merged
into what is there. Used by `admin.py`; relies on recordings/admin.json.
"""

from .declarations import Json
from .state import ConduitState

_MODULES = ("database", "router", "authentication", "storage", "authorization")
_CORS = {
    "enabled": True,
    "origin": "*",
    "methods": "GET,HEAD,PUT,PATCH,POST,DELETE",
    "allowedHeaders": "Content-Type,Authorization,Cache-Control",
    "exposedHeaders": "Content-Type,Authorization,Cache-Control",
    "credentials": True,
    "maxAge": 86400,
}


class AdminConfig:
    """The settings of one state, by module."""

    def __init__(self, state: ConduitState) -> None:
        self._settings = state.settings
        self.serving = dict.fromkeys(_MODULES, True)

    def __contains__(self, module: str) -> bool:
        return module in ("authentication", "router", "storage")

    def modules(self) -> Json:
        """Who serves."""
        listed = [
            {"moduleName": name, "url": f"127.0.0.1:{port}", "serving": serving}
            for port, (name, serving) in enumerate(self.serving.items(), 55160)
        ]
        return {"modules": listed}

    def merged(self, module: str, changes: Json) -> Json:
        """A module's settings after some changes, which may be none."""
        config = _merged(self._read(module), changes)
        self._write(module, config)
        return {"config": config}

    def _read(self, module: str) -> Json:
        settings = self._settings
        match module:
            case "authentication":
                cookie = settings.tokens_in_cookies
                return {
                    "active": True,
                    "local": {"enabled": True},
                    "clients": {
                        "multipleUserSessions": settings.multiple_user_sessions
                    },
                    "accessTokens": {
                        "expiryPeriod": int(settings.access_token_s * 1000),
                        "setCookie": cookie,
                    },
                    "refreshTokens": {
                        "expiryPeriod": int(settings.refresh_token_s * 1000),
                        "setCookie": cookie,
                    },
                }
            case "storage":
                authorization = {"enabled": settings.storage_authorization}
                return {"active": True, "authorization": authorization}
            case _:
                return self._router()

    def _router(self) -> Json:
        settings = self._settings
        return {
            "hostUrl": settings.host_url,
            "captcha": {"enabled": False, "provider": "recaptcha", "secretKey": ""},
            "cors": dict(_CORS),
            "transports": {"rest": True, "graphql": True, "sockets": True},
            "security": {"clientValidation": settings.client_validation},
            "rateLimit": {
                "maxRequests": settings.rate_limit,
                "resetInterval": int(settings.rate_window_s),
            },
        }

    def _write(self, module: str, config: Json) -> None:
        settings = self._settings
        match module:
            case "authentication":
                clients, access = config["clients"], config["accessTokens"]
                settings.multiple_user_sessions = clients["multipleUserSessions"]
                settings.access_token_s = access["expiryPeriod"] / 1000
                settings.tokens_in_cookies = access["setCookie"]
                refresh = config["refreshTokens"]
                settings.refresh_token_s = refresh["expiryPeriod"] / 1000
            case "storage":
                settings.storage_authorization = config["authorization"]["enabled"]
            case _:
                settings.host_url = config["hostUrl"]
                settings.rate_limit = config["rateLimit"]["maxRequests"]
                security = config["security"]
                settings.client_validation = security["clientValidation"]


def _merged(old: Json, new: Json) -> Json:
    if isinstance(old, dict) and isinstance(new, dict):
        changed = {name: _merged(old.get(name), new[name]) for name in new}
        return {**old, **changed}
    return new
