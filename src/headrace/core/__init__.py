"""Core: time, errors, files, the home, SQL, declarations and permissions that every room uses."""
