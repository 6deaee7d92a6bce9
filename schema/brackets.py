"""How deeply a document is nested, told from its text before it is parsed.

Called by `documents.py`. The parser works by recursion, so its stack grows with every
bracket; counting them first costs a fraction and bounds it. Brackets in strings and
comments do not count.

A string without an end reaches to the end of its line, a block string to that of the
text, and nothing is given back (`*+`): every character is looked at once. Otherwise
each quote in such a string would begin another search for an end that is not there.
"""

import re
from typing import Final

_OF_INTEREST: Final = re.compile(
    r'"""(?:[^"\\]|\\"""|\\|"(?!""))*+(?:""")?'  # block strings
    r'|"(?:[^"\\\n]|\\.)*+"?'  # strings
    r"|#[^\n\r]*"  # comments
    r"|[{}()\[\]]"
)
_OPENING: Final = frozenset("{([")
_CLOSING: Final = frozenset("})]")


def nesting_of(text: str) -> int:
    """The greatest number of brackets that are open at once."""
    depth = deepest = 0
    for found in _OF_INTEREST.finditer(text):
        symbol = found.group()
        if symbol in _OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif symbol in _CLOSING:
            depth -= 1
    return deepest
