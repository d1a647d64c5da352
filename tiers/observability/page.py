# SPDX-License-Identifier: GPL-3.0-or-later
"""The status page: one file that needs nothing else, and the headers that hold it to that."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from pathlib import Path

PAGE = Path(__file__).parent / "status.html"


@functools.cache
def status_page() -> tuple[bytes, dict[str, str]]:
    """The page and its headers.

    The policy lets nothing run or be drawn but the page's own script and style, named by their digests, and lets the script
    ask nobody but the server that it came from.
    """
    text = PAGE.read_text(encoding="utf-8")
    policy = [
        "default-src 'none'",
        f"script-src {_digest(text, 'script')}",
        f"style-src {_digest(text, 'style')}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    return text.encode(), {
        "Content-Security-Policy": "; ".join(policy),
        "Cache-Control": "no-cache",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def _digest(text: str, tag: str) -> str:
    """The source expression for the one element of this name."""
    (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
