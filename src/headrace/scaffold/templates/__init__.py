"""The files of a new project, as `string.Template` texts beside this module."""

from importlib import resources
from string import Template


def fill(template: str, /, **values: object) -> str:
    """The template `<template>.tmpl` with every placeholder filled; KeyError if one is left."""
    text = resources.files(__name__).joinpath(f"{template}.tmpl").read_text(encoding="utf-8")
    return Template(text).substitute({key: str(value) for key, value in values.items()})
