"""The documents do what they say: their code blocks are executed as a reader would."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.docs import Reader, clone, expect, read_blocks

ROOT = Path(__file__).parent.parent
# How many blocks of each document can't be executed; each says why in a comment before it.
NOT_EXECUTED = {"README.md": 4, "CONTRIBUTING.md": 0}

SAMPLE = """
# A sample

<!-- background: server -->
```sh
echo "starting"
echo "grpc 127.0.0.1:$((50000 + 51)) SERVING"
until test -e pressed; do read -r -t 0.01 || true; done
echo "order ord_123 paid"
exec sleep 600
```

Ready when it says:

<!-- output: server -->
```text
grpc 127.0.0.1:50051 SERVING
```

1. Variables carry over:

   ```sh
   ORDER=$(printf '%s' ord_123)
   ```

2. And can be shown:

   ```console
   $ printf '%s\\n' \\
   >   "order $ORDER" "of someone"
   order ord_…
   $ touch pressed
   ```

<!-- output: server -->
```text
order … paid
```

```python
print("from", "Python")
```

```text
from Python
```

<!-- not executed: needs a Docker engine -->
```sh
docker build .
```

```json
{"this": "is for reading only"}
```
"""

OPEN_SHOP = "<!-- background: shop -->\n```sh\necho open\n```"


@pytest.fixture(scope="module")
def fresh_clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The repository as someone who has just cloned it has it."""
    folder = clone(ROOT, tmp_path_factory.mktemp("clone") / "boxoffice")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with nothing but a Python where the documents expect it."""
    python = tmp_path / "desk/.venv/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    return tmp_path / "desk"


def follow(text: str, desk: Path) -> int:
    """Lets a reader follow a document of the given text."""
    document = desk / "SAMPLE.md"
    document.write_text(text, "utf-8")
    with Reader(desk) as reader:
        return reader.follow(document)


@pytest.mark.parametrize("name", NOT_EXECUTED)
def test_every_block_of_the_document_works_on_a_fresh_clone(name: str, fresh_clone: Path) -> None:
    """What README.md and CONTRIBUTING.md tell people to type does what they promise."""
    with Reader(fresh_clone) as reader:
        assert reader.follow(fresh_clone / name) == NOT_EXECUTED[name]


def test_a_sample_is_followed_in_two_shells(desk: Path) -> None:
    """Variables carry over, background output is awaited, and what is left out is counted."""
    assert follow(SAMPLE, desk) == 1


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ("```sh\necho first\nfalse\necho second\n```", "SAMPLE.md:1: this failed"),
        ("```sh\necho one\n```\n```text\ntwo\n```", "the document promises\ntwo"),
        ("```console\n$ echo one\ntwo\n```", "the document promises\ntwo"),
        ("```python\nraise SystemExit(3)\n```", "SAMPLE.md:1: this failed"),
        (f"{OPEN_SHOP}\n<!-- output: shop -->\n```text\nclosed\n```", "promises\nclosed"),
        ("<!-- output: shop -->\n```text\nclosed\n```", "no background shell is named 'shop'"),
    ],
    ids=["command", "output", "console", "python", "background", "name"],
)
def test_a_broken_promise_is_noticed(block: str, complaint: str, desk: Path) -> None:
    """A document that promises what does not happen fails, and says where."""
    with pytest.raises(AssertionError) as caught:
        follow(block, desk)
    assert complaint in str(caught.value)


def test_promised_lines_must_come_in_their_order() -> None:
    """Other lines may come in between, but not the promised ones the other way round."""
    expect("created\npaid", "{\n  created\n  more\n  paid\n}", "here")
    with pytest.raises(AssertionError, match="promises"):
        expect("paid\ncreated", "created\npaid", "here")


def test_blocks_in_lists_lose_their_indent() -> None:
    """A block inside a list item is read as if it stood at the margin."""
    (block,) = read_blocks("1. Do:\n\n   ```sh\n   echo a\n     echo b\n   ```\n")
    assert block.code == "echo a\n  echo b\n"
    assert block.line == 3
