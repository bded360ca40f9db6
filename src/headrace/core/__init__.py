"""Basics that all packages use: time, errors, files, home, SQL, declarations and permissions."""
