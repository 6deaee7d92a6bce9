"""Writes the Python function that reads the plain fields of a whole level.

`whole.py` writes functions of another kind by the same means. What the generated text
contains: attribute names (checked to be identifiers), response keys and type names as
string literals (GraphQL names, checked as well), numbers that we counted. Everything
else is a constant of its namespace. No text of a document can become code.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from types import CodeType
from typing import cast

from .leaf import Nulled, call_value, read_leaf, read_property
from .plan import Field, Reader, Value

# A value for which this holds is its own response form.
IS_EXACT = {
    str: "type({v}) is str",
    bool: "type({v}) is bool",
    int: "type({v}) is int and -2147483649 < {v} < 2147483648",
    float: "type({v}) is float and {v} - {v} == 0.0",  # not for inf and nan
}

# What the text may call. Bound like all constants: the code of a text is shared by
# plans, and CPython's caches of global names do not bear that (twice as slow).
BUILTINS: dict[str, Value] = {
    c.__name__: c
    for c in (str, bool, int, float, dict, type, getattr, callable, Exception)
}


def write_reader(entries: Sequence[Field | tuple[str, str]]) -> str:
    """The text of `read` for a selection: its fields and its constants, in order."""
    head = ["def read(run, level, sources):", "    add = level.outs.append"]
    reads: list[str] = []
    later: list[str] = []
    items: list[str] = []
    columns: list[int] = []
    for n, entry in enumerate(entries):
        if isinstance(entry, tuple):
            items.append(f"{literal(entry[0])}: {literal(entry[1])}")
            continue
        plain = entry.attribute is not None and is_plain(entry)
        items.append(f"{literal(entry.key)}: {f'v{n}' if plain else None}")
        if entry.attribute is not None:
            if plain:
                reads += write_read(n, entry)
            else:  # last: what is read for a row that is nulled would be lost
                later += write_read(n, entry)
                columns.append(n)
                head += [f"    c{n} = []", f"    a{n} = c{n}.append"]
    body = ["        " + line for line in later]
    body += [f"        a{n}(v{n})" for n in columns]
    body.append(f"        add({{{', '.join(items)}}})")
    if reads:
        reads = ["        try:", *("            " + line for line in reads)]
        reads += ["        except Nulled:", "            add(None)"]
        reads += [f"            a{n}(None)" for n in columns]
        reads += ["            continue"]
    tail = f"    return ({''.join(f'c{n}, ' for n in columns)})"
    lines = [*head, "    for s in sources:", *reads, *body, tail]
    return bound("read", lines, constants(entries))


def bound(function: str, lines: Sequence[str], known: Mapping[str, Value]) -> str:
    """The text of what gives the function of these lines, its constants bound."""
    used = set(re.findall(r"\w+", "\n".join(lines)))
    names = [name for name in known if name in used]
    bind = [f"def bind({', '.join(names)}):", *("    " + line for line in lines)]
    return "\n".join([*bind, f"    return {function}", ""])


def constants(entries: Sequence[Field | tuple[str, str]]) -> dict[str, Value]:
    """Everything that a text may name, by its name."""
    found: dict[str, Value] = {"Nulled": Nulled, **BUILTINS}
    for n, field in enumerate(entries):
        if isinstance(field, Field) and field.attribute is not None:
            found[f"n{n}"] = field.attribute
            found[f"leaf{n}"] = partial(read_leaf, field)
            found[f"property{n}"] = partial(read_property, field.attribute)
            found[f"call{n}"] = partial(call_value, field)
            found[f"convert{n}"] = field.convert
    return found


def write_read(n: int, field: Field) -> list[str]:
    """The lines that put the value of one attribute into v<n>."""
    name = cast(str, field.attribute)
    plain = all(
        part.isidentifier() and not keyword.iskeyword(part) for part in name.split(".")
    )
    attribute = f"s.{name}" if plain else f"getattr(s, n{n})"
    if field.calls_value:
        item = f"s[{literal(name)}]" if plain else f"s[n{n}]"
        attribute = f"{item} if s.__class__ is dict else {attribute}"
    if field.convert is not None:
        attribute = f"convert{n}({attribute})"
    lines = [f"try: v{n} = {attribute}"]
    if field.calls_value:
        lines.append(f"except Exception: v{n} = property{n}(s)")
    else:  # an exception as a value is an error of its field
        lines.append(f"except Exception as e: v{n} = e")
    if is_plain(field):
        exact = IS_EXACT.get(field.exact) if field.exact else None
        test = f"if not ({exact.format(v=f'v{n}')}): " if exact else ""
        lines.append(f"{test}v{n} = leaf{n}(run, level, s, v{n})")
    elif field.calls_value:
        lines.append(f"if callable(v{n}): v{n} = call{n}(run, level, s, v{n})")
    return lines


def is_plain(field: Field) -> bool:
    """A leaf that is no list: complete as soon as it is read."""
    return field.coerce is not None and field.depth == 0


def literal(name: str) -> str:
    """A GraphQL name as a Python string literal."""
    if not name.isascii() or not name.replace("_", "a").isalnum():
        raise ValueError(f"not a GraphQL name: {name!r}")
    return f'"{name}"'


@lru_cache(maxsize=1024)
def compiled(source: str) -> CodeType:
    """The code of a text; documents that differ in literals share it."""
    return compile(source, "<engine plan>", "exec")


def make_reader(source: str, entries: Sequence[Field | tuple[str, str]]) -> Reader:
    """The function that reads a selection."""
    return cast(Reader, made(source, constants(entries)))


def made(source: str, known: Mapping[str, Value]) -> Value:
    """The function of a text, its constants bound."""
    namespace: dict[str, Value] = {}
    exec(compiled(source), namespace)  # noqa: S102 (see the top: no text of documents)
    bind = namespace["bind"]
    code = bind.__code__
    return bind(*(known[name] for name in code.co_varnames[: code.co_argcount]))
