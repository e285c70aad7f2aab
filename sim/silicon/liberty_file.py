"""The form of a Liberty file: groups within groups, attributes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(r'"[^"]*"|[{}();:,]|[^\s{}();:,"]+')
_COMMENT = re.compile(r"/\*.*?\*/|\\\n", re.DOTALL)


@dataclass
class Group:
    """A group of the file: `kind (names) { … }`. `attributes`: simple ones, the last of a name."""

    kind: str
    names: list[str]
    attributes: dict[str, str] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)

    def of(self, kind: str) -> list[Group]:
        """The groups of a kind directly inside."""
        return [group for group in self.groups if group.kind == kind]


def parse(text: str) -> Group:
    """The library of a Liberty text. ValueError, in words, if it has no such form."""
    tokens = _TOKEN.findall(_COMMENT.sub(" ", text))
    at = 0

    def group() -> Group:
        nonlocal at
        kind = tokens[at]
        at += 2
        names = []
        while tokens[at] != ")":
            names.append(tokens[at].strip('"'))
            at += 1
        at += 1
        found = Group(kind, [name for name in names if name != ","])
        if at >= len(tokens) or tokens[at] != "{":  # a complex attribute
            found.attributes["values"] = " ".join(found.names)
            return found
        at += 1
        while tokens[at] != "}":
            if tokens[at] == ";":
                at += 1
            elif tokens[at + 1] == ":":
                name, value = tokens[at], []
                at += 2
                while tokens[at] not in (";", "}"):
                    value.append(tokens[at].strip('"'))
                    at += 1
                found.attributes[name] = " ".join(value)
            elif tokens[at + 1] == "(":
                found.groups.append(group())
            else:
                raise ValueError(f"'{tokens[at]}' is neither a group nor an attribute")
        at += 1
        return found

    if len(tokens) < 4 or tokens[0] != "library":
        raise ValueError("it does not begin with a library")
    try:
        return group()
    except IndexError:
        raise ValueError("it ends inside a group") from None
