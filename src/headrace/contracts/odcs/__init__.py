"""Contracts to and from plain documents of the Open Data Contract Standard, of any tool.

`importing` makes contracts of a document, `exporting` a document of a contract; `published` holds
documents to the standard's JSON schema.
"""
