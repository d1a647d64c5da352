# SPDX-License-Identifier: GPL-3.0-or-later
"""The measured tables under Chinese headings: the same rows, for README.zh-CN.md."""

from __future__ import annotations

import re

HEADINGS = {
    "operation": "操作",
    "backend": "后端",
    "batch": "批量",
    "one thread": "单线程",
    "one item alone": "单项耗时",
    "beside, on one thread (ours ÷ theirs)": "单线程对照（本项目 ÷ 对方）",
    "kernels alone": "仅内核",
    "end to end": "端到端",
    "smallest batch, end to end": "最小批量，端到端",
    "beside, on one CPU thread (end to end ÷ theirs)": "CPU 单线程对照（端到端 ÷ 对方）",
    "workload": "负载",
    "transactions": "交易数",
    "threads": "线程数",
    "committed a second": "每秒提交",
    "ns each": "每笔耗时（ns）",
    "beside": "对照",
    "load": "负载",
    "signatures a second": "每秒签名数",
    "99 of 100 answered within": "99% 的应答时间",
}
"""Every heading that `table.py` writes, but for a number of threads."""

_HEAD = re.compile(r"^\|(.*)\|\n(?=\|---)", re.MULTILINE)
_THREADS = re.compile(r"(\d+) threads")
CHINESE_THREADS = r"\1 线程"


def headed(tables: str) -> str:
    """Tables in Markdown with their headings in Chinese; a heading that is not listed stays."""
    return _HEAD.sub(lambda head: "|" + "|".join(map(_heading, head[1].split("|"))) + "|\n", tables)


def _heading(cell: str) -> str:
    text = cell.strip()
    return f" {HEADINGS.get(text, _THREADS.sub(CHINESE_THREADS, text))} "
