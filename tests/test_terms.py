"""A term is explained where it first stands, or not used yet."""

import re

import nbformat
import pytest
from cells import FILES

# {term: lesson in which it is introduced}. What stands under "Go further" may be passed over, so it introduces nothing.
TERMS = {
    "NUMA": "00", "local": "00", "remote": "00", "page frame": "00", "pfn": "00", "virtual page": "00",
    "page table": "00", "pte": "00", "page fault": "00", "mapcount": "00", "young": "00", "zero page": "00",
    "zonelist": "00", "watermark": "00", "vma": "00", "memory policy": "00", "anonymous": "00", "mbind": "00",
    "cpuset": "00", "reference": "00", "swap cache": "00", "LRU list": "00", "migration entr": "00", "pinned": "00",
    "mlock": "00",
    "memory hotplug": "01", "pagevec": "01", "swap entry": "01", "memory compaction": "01",
    "radix tree": "02", "swap pte": "02", "lock_page": "02", "get_user_pages": "02",
    "isolates": "03", "writeback": "03", "buffers": "03", "major": "03", "minor": "03", "mmap_sem": "03",
    "anon_vma": "04", "reverse map": "04", "protection": "04", "page cache": "04", "swap_map": "04", "swapoff": "04",
    "tmpfs": "05",
    "pdflush": "06", "nr_refs": "03",
    "slab": "07", "kswapd": "07", "GFP mask": "07", "direct reclaim": "07", "reserve": "07",
    "break-even": "08",
}  # fmt: skip
NOWHERE = ("shmem", "try_to_unuse")  # only under Go further
FURTHER = re.compile(r"^#+ Go further$", re.MULTILINE)
ASIDE = re.compile(r"<details><summary><b>For teachers.*?</details>|\]\([^)]*\)", re.DOTALL)


def texts():
    """(lesson, text) of each cell that a reader comes to, in order, without titles and plans."""
    for file in FILES:
        if not file.stem[0].isdigit():
            continue
        cells = [cell for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == "markdown"]
        for cell in cells:
            if FURTHER.search(cell.source):
                break
            if cell is not cells[0]:
                yield file.stem[:2], " ".join(ASIDE.sub("", cell.source).split())


TEXTS = list(texts())


def first(term):
    """Where a term stands for the first time."""
    return next(((lesson, text) for lesson, text in TEXTS if re.search(rf"\b{term}", text, re.IGNORECASE)), ("", ""))


@pytest.mark.parametrize("term", TERMS)
def test_a_term_is_introduced_where_it_first_stands(term):
    lesson, text = first(term)
    assert lesson == TERMS[term]
    marked = rf"(\*|`|\| )(The |A )?{term}"  # in bold or italics, as code, or the head of a row that explains it
    assert re.search(marked, text, re.IGNORECASE), text


@pytest.mark.parametrize("term", NOWHERE)
def test_what_goes_further_is_not_needed_in_a_lesson(term):
    assert first(term) == ("", "")
