"""Contract version checks: compatibility of two versions, and the check of a whole project."""
