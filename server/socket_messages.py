"""Messages of graphql-transport-ws, read strictly. Pure; used by `websocket.py`.

Relies on the protocol as npm `graphql-ws` 6 speaks it (PROTOCOL.md of that package).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .graphql_request import GraphQLRequest, from_parameters, strict_json
from .refusals import RefusalError

SUBPROTOCOL: Final = "graphql-transport-ws"
LONGEST_ID: Final = 128


class InvalidMessageError(Exception):
    """Not a message of the protocol; the text tells why."""


@dataclass(frozen=True, slots=True)
class Init:
    """`bearer`: the sealed session in the payload, in the place of any cookie."""

    bearer: str | None


@dataclass(frozen=True, slots=True)
class Ping:
    payload: object


@dataclass(frozen=True, slots=True)
class Pong:
    pass


@dataclass(frozen=True, slots=True)
class Subscribe:
    id: str
    request: GraphQLRequest


@dataclass(frozen=True, slots=True)
class Complete:
    id: str


SocketMessage = Init | Ping | Pong | Subscribe | Complete


def parse(text: str) -> SocketMessage:
    """Raises: InvalidMessageError."""
    try:
        message = strict_json(
            text.encode(), otherwise=lambda _: "The message is not JSON."
        )
    except RefusalError as refusal:
        raise InvalidMessageError(refusal.message) from None
    if not isinstance(message, dict):
        raise InvalidMessageError("A message is a JSON object.")
    match message.get("type"):
        case "connection_init":
            return Init(_bearer(_object(message)))
        case "ping":
            return Ping(message.get("payload"))
        case "pong":
            return Pong()
        case "subscribe":
            return Subscribe(_id(message), _request(_object(message)))
        case "complete":
            return Complete(_id(message))
    raise InvalidMessageError("There is no message of this type.")


def _object(message: Mapping[str, object]) -> dict[str, object]:
    payload = message.get("payload")
    if payload is None:
        return {}
    if not isinstance(payload, dict):
        raise InvalidMessageError("The payload must be a JSON object.")
    return payload


def _id(message: Mapping[str, object]) -> str:
    found = message.get("id")
    if not isinstance(found, str) or not 0 < len(found) <= LONGEST_ID:
        raise InvalidMessageError(f"An id is a text of 1 to {LONGEST_ID} characters.")
    return found


def _request(payload: Mapping[str, object]) -> GraphQLRequest:
    try:
        return from_parameters(payload)
    except RefusalError as refusal:
        raise InvalidMessageError(refusal.message) from None


def _bearer(payload: Mapping[str, object]) -> str | None:
    """`{"authorization": "Bearer …"}`, upper and lower case alike."""
    for name, value in payload.items():
        if name.lower() == "authorization":
            scheme, _, token = str(value).partition(" ")
            if scheme.lower() != "bearer":
                raise InvalidMessageError("authorization must be a Bearer value.")
            return token.strip()
    return None
