"""Where two answers part. Called by `cost.py` before anything is measured."""

import base64
import binascii
import re

_GLOBAL_ID = re.compile(r"[A-Z][A-Za-z]+:(.+)", re.DOTALL)


def difference(expected: object, found: object, path: str = "data") -> str:
    """The first place that differs, in words; call it on answers that do."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in [*expected, *found]:
            if key not in expected or key not in found:
                return f"{path}.{key} is only in one of them"
            if expected[key] != found[key]:
                return difference(expected[key], found[key], f"{path}.{key}")
    if isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            return f"{path} has {len(found)} items instead of {len(expected)}"
        for index, (one, other) in enumerate(zip(expected, found, strict=True)):
            if one != other:
                return difference(one, other, f"{path}[{index}]")
    return f"{path} is {found!r:.80} instead of {expected!r:.80}"


def bare(value: object) -> object:
    """An answer as a server gives it that knows neither global ids nor connections.

    Ids become those of the upstreams, `{"nodes": [...]}` becomes the list.
    """
    if isinstance(value, list):
        return [bare(item) for item in value]
    if isinstance(value, dict):
        if value.keys() == {"nodes"}:
            return bare(value["nodes"])
        return {
            name: _upstream_id(item) if name == "id" else bare(item)
            for name, item in value.items()
        }
    return value


def _upstream_id(value: object) -> object:
    """What a global id stands for; anything else as it is."""
    text = str(value)
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), b"-_").decode()
    except (binascii.Error, ValueError):
        return value
    found = _GLOBAL_ID.fullmatch(decoded)
    return value if found is None else found[1]
