"""Import and export of plain ODCS (Open Data Contract Standard) documents of other tools.

`importing` makes contracts from a document, and `exporting` makes a document from a contract.
`json_schema` validates documents against the standard's JSON schema.
"""
