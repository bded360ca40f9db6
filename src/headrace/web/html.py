"""HTML built from elements: every text is escaped, so no page can contain unescaped text.

Only `element` makes `Html`; everything else is text, even if it looks like markup.
"""

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import TypeAlias

_VOID = frozenset({"meta", "br", "input"})
# Control characters end a page early, lone surrogates cannot be sent, and direction marks change
# how a line reads: all are shown as their code points.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069"
    "\ufeff\ufffe\uffff\ud800-\udfff]"
)
_LINK = re.compile(r"(?:https?://|mailto:|#|\./|\.\./)[^\s]*", re.IGNORECASE)


class Html(str):
    """Markup created by `element`; it is not escaped again."""

    __slots__ = ()


Child: TypeAlias = "str | int | float | Iterable[Child] | None"


def text(value: object) -> Html:
    """Return `value` as escaped text."""
    if isinstance(value, Html):
        return value
    visible = _INVISIBLE.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", str(value))
    return Html(escape(visible, quote=True))


def element(tag: str, *children: Child, **attributes: str | int | bool | None) -> Html:
    """Return one element; `class_` becomes `class`, and `data_label` becomes `data-label`.

    Args:
        tag: name of the element. It is not escaped, like attribute names, so it must be trusted.
        children: `Html`, or anything that is shown as text; None shows nothing.
        attributes: attribute values, which are escaped. None and False omit the attribute, and so
            does a `href` that is not a web, mail or page address.
    """
    opening = f"<{tag}{_attributes(attributes)}>"
    if tag in _VOID:
        return Html(opening)
    return Html(f"{opening}{join(children)}</{tag}>")


def join(children: Child) -> Html:
    """Join several children to one piece of markup."""
    if children is None:
        return Html("")
    if isinstance(children, str | int | float):
        return text(children)
    return Html("".join(join(child) for child in children))


def _attributes(attributes: Mapping[str, str | int | bool | None]) -> str:
    parts = []
    for name, value in attributes.items():
        if value is None or value is False or (name == "href" and not is_link(str(value))):
            continue
        spelled = name.rstrip("_").replace("_", "-")
        parts.append(f" {spelled}" if value is True else f' {spelled}="{text(value)}"')
    return "".join(parts)


def is_link(address: str) -> bool:
    """Return True for web, mail and page addresses, which cannot run code or contain data."""
    return _LINK.fullmatch(address) is not None
