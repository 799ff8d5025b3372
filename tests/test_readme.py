"""What the README says to type works, and prints what it says."""

import re
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
# A block of Python, and the block of text that shows its output, if one comes before the next block of Python.
BLOCKS = re.findall(r"```python\n(.*?)```(?:(?!```).)*(?:```text\n(.*?)```)?", README, re.DOTALL)


@pytest.mark.parametrize(("code", "output"), BLOCKS, ids=lambda text: text.partition("\n")[0])
def test_python_block(code, output, capsys):
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert capsys.readouterr().out == output


def test_the_three_triggers_take_ten_lines():
    lines = [line for code, _ in BLOCKS for line in code.splitlines() if line]
    assert len(lines) <= 10
    assert all(any(trigger in line for line in lines) for trigger in (".mbind(", ".migrate_pages(", ".attach("))


def test_files_and_pictures_exist():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    named = re.findall(r"`((?:[\w.-]+/)*[\w-]+(?:\.(?:py|md|ipynb|toml)|/)|(?:notebooks/)?LICENSE)`", README)
    assert links
    assert [name for name in links + named if not (ROOT / name).exists()] == []


def description_of(file):
    if file.suffix == ".gif":
        return Image.open(file).info["comment"].decode()
    return re.search(r"<dc:description>(.*?)</dc:description>", file.read_text(), re.DOTALL)[1]


def test_pictures_say_what_they_show():
    """`make figures` writes a description into each figure; the README's own words must not contradict it."""
    pictures = re.findall(r"!\[(.*?)\]\((.*?)\)", README)
    assert pictures
    assert "<img" not in README
    for alt, file in pictures:
        description = description_of(ROOT / file)
        assert len(alt) > 20
        assert set(re.findall(r"\d+", alt)) <= set(re.findall(r"\d+", description))
