"""Style sheet of all pages: light and dark, phone and desktop, screen and paper."""

import base64
import hashlib
from pathlib import Path

CSS = Path(__file__).with_name("report.css").read_text(encoding="utf-8").strip()

# Content security policy: a page may load this style, but no scripts, external images or fonts.
_DIGEST = base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode()
_RULES = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action"
POLICY = f"{_RULES} 'none'"
# Policy of pages with forms, which may be sent to the page's own server only.
ACTING = f"{_RULES} 'self'"
