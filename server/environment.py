"""Reads single settings out of an environment and collects the mistakes.

Used by `settings.py` only. A method never raises: it notes the mistake and returns a
stand-in of the right type, so that one start tells the operator all mistakes at once.
A problem never quotes the value of a secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from .variables import VARIABLES

BY_NAME = {variable.name: variable for variable in VARIABLES}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One setting at fault: its name, what is wrong, what to do."""

    name: str
    problem: str
    cure: str

    def __str__(self) -> str:
        return f"{self.name}: {self.problem} {self.cure}"


class EnvironmentReader:
    """Typed access to the variables of `variables.py`."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.mistakes: list[Mistake] = []

    def mistake(self, name: str, problem: str, cure: str) -> None:
        self.mistakes.append(Mistake(name, problem, cure))

    def text(self, name: str) -> str | None:
        """The value, or its default; an empty value counts as not set."""
        variable = BY_NAME[name]
        given = {
            alias: value
            for alias in (variable.name, *variable.aliases)
            if (value := self._env.get(alias, "").strip())
        }
        if len(set(given.values())) > 1:
            self.mistake(
                name,
                f"{' and '.join(given)} are two names of one setting and disagree.",
                "Set one of them, or both to the same value.",
            )
        return next(iter(given.values()), variable.default)

    def required(self, name: str) -> str:
        value = self.text(name)
        if value:
            return value
        self.mistake(name, "is not set.", self.example(name))
        return ""

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        value = self.required(name)
        if value not in choices:
            self.mistake(
                name, f"is {self._shown(name, value)}.", f"One of {', '.join(choices)}."
            )
            return choices[0]
        return value

    def integer(self, name: str, *, least: int, most: int) -> int:
        value = self.required(name)
        if not (value.isascii() and value.isdigit()) or not least <= int(value) <= most:
            self.mistake(
                name,
                f"is {self._shown(name, value)}.",
                f"A whole number from {least} to {most}.",
            )
            return least
        return int(value)

    def seconds(self, name: str, *, most: float) -> float:
        value = self.required(name)
        try:
            seconds = float(value)
        except ValueError:
            seconds = -1.0
        if not 0 < seconds <= most:
            self.mistake(
                name,
                f"is {self._shown(name, value)}.",
                f"A number of seconds above 0, at most {most:g}.",
            )
            return most
        return seconds

    def names(self, name: str) -> tuple[str, ...]:
        """A comma-separated list without blanks and empty members."""
        value = self.text(name) or ""
        return tuple(part for item in value.split(",") if (part := item.strip()))

    def url(self, name: str, value: str) -> str:
        """An http(s) address without user, query and trailing slash; "" if at fault."""
        parts = split_url(value)
        if parts is None or parts.scheme not in ("http", "https"):
            self.mistake(
                name,
                "is not an http or https address.",
                self.example(name),
            )
            return ""
        if parts.username or parts.password or parts.query or parts.fragment:
            self.mistake(
                name,
                "holds a user, a query or a fragment.",
                "Give only scheme, host, port and path.",
            )
            return ""
        return value.rstrip("/")

    def example(self, name: str) -> str:
        return f"For example: {name}={BY_NAME[name].example}"

    def _shown(self, name: str, value: str) -> str:
        return "not valid" if BY_NAME[name].secret else repr(value[:80])


def split_url(value: str) -> SplitResult | None:
    """The parts of an absolute address with a host and a sound port, or None."""
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises when the port is not a number
    except ValueError:
        return None
    return parts if parts.hostname else None
