"""Import and export of plain ODCS documents (Open Data Contract Standard) of any tool.

`importing` makes contracts from a document, `exporting` a document from a contract; `json_schema`
validates documents against the standard's JSON schema.
"""
