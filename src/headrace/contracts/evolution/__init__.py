"""Contract version checks: compatibility of changes, and the check of a project's contracts."""
