"""`conform` for the contract in small.yaml, in plain Python: slow, obvious, row by row."""

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

WRONG = object()
NUMBER = re.compile(r"-?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
ODD = {
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "infinity": math.inf,
    "-infinity": -math.inf,
}


class UnusableError(Exception):
    """The value is of the type and cannot be used: the rule, and what is stored."""


def integer(text, limit, sentinels=()):
    if not re.fullmatch(r"-?\d+", text, re.ASCII) or not -(2**63) <= int(text) < 2**63:
        return WRONG
    return within(None if int(text) in sentinels else int(text), limit)


def within(value, limit):
    if value is not None and limit is not None and abs(value) > limit:
        raise UnusableError("max_abs", value)
    return value


def finite(text):
    """A number of some kind, None for NaN."""
    value = ODD.get(text.lower()) if text.lower() in ODD else None
    if value is None:
        return text if NUMBER.fullmatch(text) else WRONG
    if math.isinf(value):
        raise UnusableError("infinity", None)
    return None


def exact(text, scale, limit):
    text = finite(text)
    if text in (WRONG, None):
        return text
    with localcontext() as context:
        context.prec = 500
        whole = (Decimal(text) * 10**scale).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
    if not -(2**63) <= int(whole) < 2**63:
        raise UnusableError("max_abs", None)
    return within(int(whole), limit)


def rough(text, scale, limit):
    text = finite(text)
    if text in (WRONG, None):
        return text
    product = float(text) * 10.0**scale
    if math.isinf(product) or abs(round(product)) >= 2**53:
        raise UnusableError("max_abs", None)
    return within(round(product), limit)


def plain(text):
    if text.lower() in ODD:
        value = ODD[text.lower()]
    elif NUMBER.fullmatch(text):
        value = float(text)
    else:
        return WRONG
    if math.isnan(value):
        return None
    if math.isinf(value):
        raise UnusableError("infinity", value)
    return value + 0.0


def moment(text, *, up=False):
    match = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?Z", text, re.ASCII)
    if match is None:
        return WRONG
    try:
        whole = datetime(*(int(part) for part in match.groups()[:6]), tzinfo=UTC)
    except ValueError:
        return WRONG
    digits = match[7] or ""
    finer = up and int(digits[6:] or "0") > 0
    return whole + timedelta(microseconds=int(digits[:6].ljust(6, "0")) + finer)


PARSERS = {
    "meter": lambda text: text,
    "read_at": moment,
    "sent": lambda text: moment(text, up=True),
    "revision": lambda text: integer(text, None),
    "count": lambda text: integer(text, 1000, (-999,)),
    "exact": lambda text: exact(text, 2, 100_050),
    "rough": lambda text: rough(text, 3, 10**9),
    "plain": plain,
    "good": lambda text: {"true": True, "false": False}.get(text, WRONG),
    "note": lambda text: None if text == "-" else text,
}


TEXTS = {"meter", "note"}  # everywhere else, white space around a value is ignored


def conform_row(row):
    """(published columns, columns of another type, problems as (rule, field))."""
    stored, wrong, problems, usable = {}, [], [], {}
    for name, parser in PARSERS.items():
        try:
            text = row[name] if name in TEXTS or row[name] is None else row[name].strip()
            value = None if text is None else parser(text)
            usable[name] = value
        except UnusableError as unusable:
            rule, value = unusable.args
            usable[name] = None
            problems.append((rule, name))
        if value is WRONG:
            wrong.append(name)
        stored[name] = value
    if wrong:
        return stored, wrong, []
    for name, rule in (("meter", "primary_key"), ("revision", "required")):
        if stored[name] is None and not any(True for _ in before(problems, name)):
            problems.append((rule, name))
    doubled = None if usable["count"] is None else 2 * usable["count"]
    if doubled is not None and abs(doubled) > 1900:
        problems.append(("max_abs", "doubled"))
    for name, source in (("event_time", "read_at"), ("known_at", "sent")):
        stored[name] = stored[source]
        if stored[name] is None and not problems:
            problems.append((name, name))
    return stored | {"extra": None, "doubled": doubled}, [], problems


def before(problems, name):
    """Problems noted on the row before column `name` was looked at: they explain a null."""
    order = list(PARSERS)
    return (p for p in problems if order.index(p[1]) < order.index(name))
