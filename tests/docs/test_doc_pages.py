# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the pages see, and what they let pass."""

from pathlib import Path

import pytest
from doc_pages import Block, blocks, commands, difference, on_machine
from doc_session import Session

PAGE = """# A page
```python
print(1)
```
<!-- not run: needs a GPU -->
```console
$ supervm x \\
    --y
one

$ supervm z
```
<!-- setup
import numpy as np
-->
- in a list

  ```toml title="a.toml"
  key = 1
  ```
"""


def test_blocks_are_found_in_order() -> None:
    assert blocks(PAGE) == [
        Block(2, "python", "print(1)\n"),
        Block(5, "console", "$ supervm x \\\n    --y\none\n\n$ supervm z\n", "", "not run", "needs a GPU"),
        Block(13, "python", "import numpy as np\n"),
        Block(18, "toml", "key = 1\n", "a.toml"),
    ]


def test_commands_and_their_output() -> None:
    first, second = commands(blocks(PAGE)[1])
    assert (first.text, first.shown) == ("supervm x \\\n    --y", ("one",))
    assert (second.text, second.shown) == ("supervm z", ())


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        (["1,234 transactions in 0.21 s"], "7 transactions in 12 ms\n"),
        (["│ a │  12.5 │"], "│ a │ 1 │\n"),
        (["┏━━━┳━┓"], "┏━━━━━━┳━━━┓\n"),
        (["12.5 MiB", "1.2 M/s"], "1 GiB\n3 k/s\n"),
        (["head", "...", "tail 1"], "head\nx\ny\ntail 2\n"),
        (["...", "tail 1"], "tail 2\n"),
        (["head", "..."], "head\n"),
        (['{"a": [{"b": 1}], "c": 2}'], '{"c": 5, "a": [{"b": 3}, {"b": 4}]}\n'),
        (["root " + "ab" * 32], "root " + "ab" * 32),
        ([], "anything"),
    ],
)
def test_the_same_shape(shown: list[str], printed: str) -> None:
    assert not difference(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        (["ok: 1 block"], "wrong: 1 block\n"),
        (["one", "two"], "one\n"),
        (["one"], "one\ntwo\n"),
        (["one", "..."], "none\none\n"),
        (["one", "...", "tail"], "one\ntail\nmore\n"),
        (["...", "b", "...", "a", "..."], "a\nb\n"),
        (["│ a │ chosen │"], "│ a │ never │\n"),
        (["root " + "ab" * 32], "root " + "ab" * 31 + "ac\n"),
        (['{"a": 1}'], '{"b": 1}\n'),
        (['{"a": 1}'], "a: 1\n"),
        (['{"verdicts": [1, 0]}'], '{"verdicts": [1, -1]}'),
    ],
)
def test_another_shape(shown: list[str], printed: str) -> None:
    assert difference(shown, printed)


def test_where_output_varies_first_columns_count() -> None:
    shown, printed = ["cpu     Some CPU", "│ sha256 │ chosen │"], "cpu  Another\n│ sha256 │ never │\n"
    assert difference(shown, printed)
    assert not difference(shown, printed, varies=True)
    assert difference(["gpu  none"], printed, varies=True)
    table = ["│ sha256 │ ifma │", "│        │ scalar │", "│ sha256 │ ifma │", "│ sha512 │ ifma │"]
    assert not difference(table, "│ sha256 │ scalar │\n│ sha512 │ scalar │\n", varies=True)
    assert difference(table, "│ sha256 │ scalar │\n", varies=True)
    assert not difference(["root " + "ab" * 20], "root " + "cd" * 20, varies=True)


@pytest.mark.parametrize("page_says", ["ifma", "scalar"])
@pytest.mark.parametrize("best", ["ifma", "avx2", "scalar"])
def test_a_backend_is_the_one_of_the_machine(page_says: str, best: str) -> None:
    printed = f'total{{backend="{best}"}} 3.0\n'
    block = Block(1, "console", f'$ curl\ntotal{{backend="{page_says}"}} 2.0\n')
    shown = commands(on_machine(block, best))[0].shown
    assert bool(difference(shown, printed)) == (page_says == "scalar" and best != "scalar")


def test_lines_of_progress_are_no_output(tmp_path: Path) -> None:
    with Session(tmp_path, GIVEN="given") as session:
        assert session.command("echo supervm: working >&2; echo $GIVEN") == (0, "given\n\n")
        logged = 'echo \'{"logger":"supervm.progress","message":"starting"}\''
        assert session.command(logged) == (0, "\n")
        assert not session.server(
            "sh -c 'echo ready; echo supervm: working; echo on; sleep 100' &", ["ready", "on"], False
        )


def test_a_session_is_one_shell_and_one_process(tmp_path: Path) -> None:
    with Session(tmp_path) as session:
        assert session.command("name=value; mkdir inside; cd inside") == (0, "\n")
        assert session.command("echo $name; basename $PWD; false") == (1, "value\ninside\n\n")
        assert not session.python("seen = 1", "page.md", 1)
        assert not session.python(">>> seen\n1\n", "page.md", 2)
        assert "Got:\n    1" in session.python(">>> seen\n2\n", "page.md", 3)
        assert 'page.md", line 6' in session.python("\nseen.none", "page.md", 4)


def test_a_server_lives_until_it_is_ended(tmp_path: Path) -> None:
    with Session(tmp_path) as session:
        assert not session.server("sh -c 'echo ready; sleep 100' &", ["ready"], False)
        assert session.command("jobs -r | wc -l")[1].strip() == "1"
        assert session.command("kill %1; wait %1")[0] == 143
        assert session.server("echo failed &", ["ready"], False)
        assert not session.server("sh -c 'echo ready; sleep 100' &", ["ready"], False)
        assert session.server("echo failed beside another &", ["ready"], False)
        assert not session.server("sh -c 'echo $$ >left; echo ready; exec sleep 100' &", ["ready"], False)
    left = int((tmp_path / "left").read_text())
    assert not Path(f"/proc/{left}").exists() or "Z" in Path(f"/proc/{left}/stat").read_text()
