"""HTML pages of one file that load nothing: their head, and the policy that holds a browser to it."""

from __future__ import annotations

import base64
import hashlib
from html import escape


def document(title: str, style: str, body: str, script: str = "", inline_styles: bool = False) -> str:
    """A complete page, to be written as UTF-8. `style`, `script`: their texts; the script runs behind `body`, and no
    other does. `inline_styles`: elements may have styles of their own, as drawings inside have."""
    styles = "'unsafe-inline'" if inline_styles else f"'{_hash(style)}'"
    scripts = f"; script-src '{_hash(script)}'" if script else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src {styles}{scripts}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
{body}{f"<script>{script}</script>{chr(10)}" if script else ""}</body>
</html>
"""


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
