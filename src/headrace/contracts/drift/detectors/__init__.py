"""One module a family of changes: each looks at a case and says what it finds."""
