# SPDX-License-Identifier: GPL-3.0-or-later
"""The summary under Chinese headings: the same rows, for README.zh-CN.md."""

from __future__ import annotations

import re

HEADINGS = {
    "operation": "操作",
    "backend": "后端",
    "one thread": "单线程",
    "all threads": "全部线程",
    "compared with, on one thread": "对照（单线程）",
    "ours ÷ theirs": "本项目 ÷ 对方",
}
"""Every heading of `table.summary`."""

_HEAD = re.compile(r"^\|(.*)\|\n(?=\|---)", re.MULTILINE)


def headed(tables: str) -> str:
    """Tables in Markdown with their headings in Chinese; a heading that is not listed stays."""
    return _HEAD.sub(lambda head: "|" + "|".join(map(_heading, head[1].split("|"))) + "|\n", tables)


def _heading(cell: str) -> str:
    text = cell.strip()
    return f" {HEADINGS.get(text, text)} "
