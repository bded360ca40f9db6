"""The one style sheet of all pages: light and dark, phone and desk, screen and paper."""

import base64
import hashlib
from pathlib import Path

CSS = Path(__file__).with_name("report.css").read_text(encoding="utf-8").strip()

# A page may show this style and nothing else: no script, no picture or font from elsewhere.
_DIGEST = base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode()
_RULES = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action"
POLICY = f"{_RULES} 'none'"
# Of a page that acts: its form goes to the server that served it.
ACTING = f"{_RULES} 'self'"
