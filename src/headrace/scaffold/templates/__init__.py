"""Files of a new project, as `string.Template` texts in this folder."""

from importlib import resources
from string import Template


def fill(template: str, /, **values: object) -> str:
    """Fill the template `<template>.tmpl`; raise KeyError if a placeholder has no value."""
    text = resources.files(__name__).joinpath(f"{template}.tmpl").read_text(encoding="utf-8")
    return Template(text).substitute({key: str(value) for key, value in values.items()})
