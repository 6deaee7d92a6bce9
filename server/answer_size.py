"""How long an answer will be, told before it is written.

Called by `graphql.py` for operations that may show one text many times (`may_swell`):
the answer's objects share a text, its JSON repeats it. Pure.
"""


def is_longer(data: object, most: int) -> bool:
    """Whether JSON of these dicts, lists and texts has more than `most` characters.

    It may have a few more than are counted here; `False` is no promise. The walk ends
    where the bound is passed.
    """
    left = [data]
    while left and most >= 0:
        one = left.pop()
        if isinstance(one, str):
            most -= len(one)
        elif isinstance(one, dict):
            most -= sum(map(len, one))
            left += one.values()
        elif isinstance(one, list):
            left += one
    return most < 0
