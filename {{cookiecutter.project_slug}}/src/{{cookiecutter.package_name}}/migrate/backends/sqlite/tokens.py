"""SQLite's SQL as normalised tokens.

The case and the quotes of names and keywords do not matter; comments and blanks are left out.
https://www.sqlite.org/lang_keywords.html explains the quotes.
"""

import re
from collections.abc import Iterator, Sequence
from string import ascii_lowercase, ascii_uppercase

_TOKEN = re.compile(
    r"""
    (?P<blank>   \s+ | --[^\n]* | /\*.*?(?:\*/|$) )
  | (?P<string>  [xX]?'(?:[^']|'')*' )
  | (?P<quoted>  "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\] )
  | (?P<number>  0[xX][0-9a-fA-F]+ | (?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)? )
  | (?P<word>    [^\W\d][\w$]* )
  | (?P<sign>    \|\||<<|>>|<>|!=|<=|>=|==|->>|->|. )
    """,
    re.VERBOSE | re.DOTALL,
)
_PLAIN = re.compile(r"[^\W\d][\w$]*")
# Without quotes, these are never names; a name among them keeps its quotes. For the others (KEY,
# ACTION, …) SQLite allows both: https://www.sqlite.org/lang_keywords.html
_RESERVED = re.compile(
    "add|all|alter|and|as|autoincrement|between|case|check|collate|commit|constraint|create"
    "|current_date|current_time|current_timestamp|default|deferrable|delete|distinct|drop"
    "|else|escape|except|exists|false|foreign|from|group|having|in|index|insert|intersect"
    "|into|is|isnull|join|limit|not|nothing|notnull|null|on|or|order|primary|references"
    "|returning|select|set|table|then|to|transaction|true|union|unique|update|using|values"
    "|when|where"
)
_SAME = {"==": "=", "!=": "<>"}
# SQLite ignores case only for ASCII.
_FOLD = str.maketrans(ascii_uppercase, ascii_lowercase)

OPEN, CLOSE = "(", ")"


def tokens(sql: str) -> list[str]:
    """The tokens of a statement."""
    return list(_tokens(sql))


def fold(name: str) -> str:
    """The normalised name, without quotes."""
    return name.translate(_FOLD)


def _tokens(sql: str) -> Iterator[str]:
    before = ""
    for match in _TOKEN.finditer(sql):
        token = match.group()
        if match.lastgroup == "blank":
            continue
        if match.lastgroup == "quoted" and before == "default":
            # No name is possible here, so it is a string: https://www.sqlite.org/quirks.html
            token = "'" + _content(token).replace("'", "''") + "'"
            yield token
        elif match.lastgroup == "quoted":
            token = quote(fold(_content(token)))
            yield token
        elif match.lastgroup == "string":
            yield token if token.startswith("'") else token.translate(_FOLD)
        else:
            token = _SAME.get(token, fold(token))
            yield token
        before = token


def _content(token: str) -> str:
    if token.startswith("["):
        return token[1:-1]
    return token[1:-1].replace(token[0] * 2, token[0])


def quote(name: str) -> str:
    """A name as a token: in quotes only if necessary."""
    plain = _PLAIN.fullmatch(name) and not _RESERVED.fullmatch(name)
    return name if plain else '"' + name.replace('"', '""') + '"'


def join(parts: Sequence[str]) -> str:
    """Tokens as readable text: ``check (age > 0)``."""
    text = ""
    for before, token in zip(("", *parts), parts, strict=False):
        tight = token in (",", CLOSE, ".", ";") or before in ("", OPEN, ".")
        call = token == OPEN and _PLAIN.fullmatch(before) and not _RESERVED.fullmatch(before)
        text += token if tight or call else f" {token}"
    return text


def split(parts: Sequence[str], separator: str = ",") -> list[list[str]]:
    """Split tokens at a separator outside of parentheses."""
    pieces: list[list[str]] = [[]]
    depth = 0
    for token in parts:
        depth += (token == OPEN) - (token == CLOSE)
        if token == separator and not depth:
            pieces.append([])
        else:
            pieces[-1].append(token)
    return pieces


def group(parts: Sequence[str], start: int) -> int:
    """The index after the parentheses that open at ``start``."""
    depth = 0
    for place in range(start, len(parts)):
        depth += (parts[place] == OPEN) - (parts[place] == CLOSE)
        if not depth:
            return place + 1
    return len(parts)


def bare(parts: Sequence[str]) -> list[str]:
    """Tokens without parentheses around all of them."""
    found = list(parts)
    while len(found) > 2 and found[0] == OPEN and group(found, 0) == len(found):
        found = found[1:-1]
    return found
