"""Where two answers part. Called by `cost.py` before anything is measured."""


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
