"""Style sheet of all pages: light and dark, phone and desktop, screen and paper."""

import base64
import hashlib
from pathlib import Path

CSS = Path(__file__).with_name("report.css").read_text(encoding="utf-8").strip()

# A page may load this style and nothing else: no scripts, no external pictures or fonts.
_DIGEST = base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode()
_RULES = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action"
POLICY = f"{_RULES} 'none'"
# For pages with forms, which are sent to the server of the page.
ACTING = f"{_RULES} 'self'"
