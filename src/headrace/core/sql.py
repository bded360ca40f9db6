"""SQL quoting: the only code that puts names and values into SQL text."""


def ident(name: str) -> str:
    """Return `name` as a quoted identifier, whatever it contains."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | float | bool | None) -> str:
    """Return `value` as a SQL literal; prefer a bound parameter where the statement allows one."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"CAST('{value!r}' AS DOUBLE)"
    return "'" + value.replace("'", "''") + "'"
