"""Strict reader of YAML declarations; errors name the line."""
