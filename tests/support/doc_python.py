# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the Python examples of one page, one after the other in one process: `doc_session.py` starts it.

Each line of standard input is a JSON object with `source`, `page` and `line`; each line of standard output a JSON string:
what went wrong, or nothing.
"""

from __future__ import annotations

import doctest
import json
import os
import sys
import traceback
from typing import Any

OPTIONS = doctest.ELLIPSIS


def main() -> None:
    """Answers until the input ends. What examples print themselves goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    names: dict[str, Any] = {"__name__": "__main__"}
    for request in sys.stdin:
        answers.write(json.dumps(run(names=names, **json.loads(request))) + "\n")
        answers.flush()


def run(source: str, page: str, line: int, names: dict[str, Any]) -> str:
    """What went wrong in an example: with prompts its output is compared, without it must not raise."""
    if ">>> " not in source:
        try:
            exec(compile("\n" * line + source, page, "exec"), names)
        except BaseException:
            return traceback.format_exc()
        return ""
    test = doctest.DocTestParser().get_doctest(source, {}, page, page, line)
    test.globs = names
    shown: list[str] = []
    doctest.DocTestRunner(verbose=False, optionflags=OPTIONS).run(test, out=shown.append, clear_globs=False)
    return "".join(shown)


if __name__ == "__main__":
    main()
