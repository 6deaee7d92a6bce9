"""JSON as other applications write it, decoded fast.

Used for seals (`seal.py`) and vault records (`records.py`, `encryption.py`).
"""

import json
from typing import Final, NoReturn

import msgspec


def from_json(raw: bytes | str) -> object:
    """`raw` decoded; the last member of a name counts.

    Raises: ValueError, RecursionError.

    msgspec takes a third of the time. What it refuses goes to Python's own decoder,
    which takes lone surrogates as JavaScript writes them, and refuses what is not JSON.
    """
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:
        text = raw if isinstance(raw, str) else raw.decode("utf-8", "surrogatepass")
        return _PATIENT.decode(text)


def _refuse_constant(_: str) -> NoReturn:
    # NaN and Infinity are Python's reading, not JSON's.
    raise ValueError("not JSON")


_PATIENT: Final = json.JSONDecoder(parse_constant=_refuse_constant)
