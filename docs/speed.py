"""Write docs/speed.md, and the speeds in the README, from docs/speed.json, which `make bench` keeps."""

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
sys.path.insert(0, str(HERE.parent / "benchmarks"))
from bench import TOPICS, goal, table  # noqa: E402
from rows import said  # noqa: E402

HEAD = """# Speed

The modelled kernel in `mmsim/mm/` is plain Python over numpy tables. A student steps through it interpreted; a machine
of real size runs the same functions compiled. `Kernel(compiled=None)` decides by size: from 65,536 page frames
(256 MB) on, a machine is compiled if numba is there. Without numba it is interpreted, and each such machine says so.

`make bench` prints the figures below, and keeps them in `docs/speed.json`, of which this page is made. The ratio is the
share of the goal that a figure takes: up to 1 it holds. The floor is one streaming pass of numpy over all tables of the
machine, in the same run. CPU time is that of one system call with the record that `kernel.last` keeps, the least of
several runs. Another computer, or one that is busy, has other figures; ratios change less, but a computer whose memory
is fast for its processor has a lower floor. The row of 67 million pages leaves out what the operating system takes to
hand out memory that is touched for the first time, and says it beside.

## The goals

"""
SIZES = """
## Compiled, by size

Nanoseconds of CPU time a page, and how many times the floor that is:

"""
WHERE = """
## Where the time goes

A page that moves is taken off its LRU list, gets a new frame, a swap slot and swap ptes, is copied, gets its ptes back,
and goes to the LRU again, as V1 has it. All of that is reading and writing numbers, which is where the time goes:

"""
AFTER = """
- Most of it is `struct page`: flags, references, and the links of the lists that old and new page are on in turn.
  They are in one row, so that a page that was touched is in the cache; a smaller row would save little, as the same
  job takes as long a page where all of it fits into a cache. What counts is how often memory is read and written, the
  registers that were saved there included; arithmetic hardly counts.
- What the order of lists costs shows where free pages are in random order: each frame is fetched from memory then.
- The radix tree is counted, not built: `radix_count`, seven numbers a page.
- Widening: a number that may be negative is read and widened by one instruction. That is no arithmetic more, but what
  was written a moment ago is then fetched from where it waits to be written, where a plain read of four bytes has it at
  once. So LLVM is told which columns are never negative: links, offsets, entries, counters. Flags are written whole:
  LLVM would write the one byte that changes, and a read of both bytes soon after it waits until that is done.
- A list that is given back is walked with the next page in hand, as in Linux: to ask the head again for each page is to
  wait for what was just written there.
- A pte has eight bytes, which the processor finds without arithmetic; what a task last wrote stands beside.
- A trace that is off is not compiled in; one that is on writes twelve rows a page.
- What each page goes through stands where it is called, and what hardly ever happens apart; a BUG and a full pagevec
  leave the registers of their caller alone. Calls go by distance. What is as long on every machine (`sys`, `costs`,
  `vmstat`, the switches) stands at a known distance from the headers of the other tables, and so do the tables by
  node, with room for as many nodes as there can be: to find them by headers of their own took a twelfth of all
  instructions of a first touch, and more of its reads, which cost more than arithmetic. A step that is mostly short
  is two functions, of which only the short one is on the way of each page. To have the next page fetched ahead, to
  decide without branches, and twenty other settings of LLVM saved nothing; nor did code that is laid out by how often
  each part runs, and jumps less.
- Eviction waits for its writes. They end in the order in which they began, so timers in the order of time cost less
  than a heap of them, which took a quarter of all.
"""
REST = """
## What else was measured

"""
OTHERS = """
## What one would use instead

Pages that move from one node to another, by the second:

"""
TAIL = """
None of these does the same: they say what a page costs in another world.

- simpy: each page is a process that waits five times, for isolate, lock, unmap, copy and restore. It has no frames,
  page tables, lists or references; what one sees is the price of its events.
- Ramulator with migration on the fly ([doi 10.1145/3364179](https://doi.org/10.1145/3364179)) asks which pages are
  hot and how many cycles memory takes: it simulates each access, and the migrations among them.
  `benchmarks/simulator.py` says how to fetch and build it.
- Linux itself, in `mmsim vm`, on a processor that QEMU emulates; it copies the 4,096 bytes, which the model does not.

Looked at, and not measured: nothing on PyPI or npm simulates page migration (the cache simulators there move no
pages), and gem5 is not among their packages. HMMSim needs Pin 2.14 to be built. CXLMemSim needs a QEMU of its own,
and a guest in it.

## What it takes of a computer

A job of 64 GB needs a few GB of memory, `kernel.verify()` some more: it walks the page tables in blocks. Pins, locks
and tables of results are bulk work, too; `kernel.frames()` is the widest of them. The scenario `huge-database` is 300
GB on a machine of 1 TB. Of each run `mmsim` estimates before what it takes, and refuses one that needs more than the
computer can give now, with the largest scale that fits.

A search for a vma begins where the last one was made or faulted in, one for a free row where the first may be. An
interpreted machine on which nothing happens but interrupts soon goes in rounds; `Kernel.wait` skips whole rounds, and
the tables are those that all of them would have left.

## How it is compiled

- The kernel keeps to a small part of Python. `mmsim/machine/translate.py` puts it into the language of LLVM, an
  expression and a statement at a time: a number has 64 bits, a table is a header (one of fixed size stands behind
  them), a row is a bare pointer (`mmsim/machine/columns.py`). LLVM is told that no two columns share memory and that
  the tables stay where they are.
- All entry points, and what they call, are one module, of which LLVM makes machine code for the processor that numba
  finds (`mmsim/machine/compiled.py`). The first machine waits for that, under a line that tells so.
- numba could do all of it, and did: it types and lowers any Python, function by function, and took most of the time
  for it; its passes over the finished module took a fifth longer than the two that it needs here.
- There are two kinds of compiled kernel. In that of V1 each switch of a later change is 0, and that of the trace, so
  that what they switch is neither translated nor asked for; the other kind has it all.
- What each page goes through that moves stands where it is called, in one piece of code (`HOT`): a page takes a fifth
  less for that. What is hardly ever called, or in many places, stands apart, so that there is less to compile.
- The result is kept in the cache folder of the user. Its name is a hash of all functions and constants of the kernel,
  so that an edited function is never run stale. Each file has a checksum: code with a wrong bit would end the
  process. A damaged file is replaced; where none can be written, each session compiles.
- `python -m mmsim.machine.compiled` compiles everything ahead; Binder does.
- `tests/test_translate.py` holds what is translated to what Python means. `tests/test_compiled.py` runs random
  histories, and each kernel function at both speeds on the same tables: every table, every result and the clock must
  be equal.

## How it is interpreted

- To read `k.mem_map[pfn].count` Python makes an object for the row, and then one for the number, in three times what
  an element of a memoryview of the column takes. So an interpreted machine runs twins of the kernel's functions, made
  from the same source: `mem_map__count[pfn]`, a number where a variable was a row, no `k`
  (`mmsim/machine/interpreted.py`). While a migration of many pages runs the columns are lists, whose elements take
  half of that; the tables get what was written when it ends.
- A call costs as much as two such reads, and most functions of the kernel are that small: they stand where they are
  called (`mmsim/machine/inlined.py`), and leave out what their arguments decide.
- A twin is made when it is first called, once a process, and has the file and the lines of its source. The first
  migration of a session waits for that, each further machine only names its own columns.
- Who follows the lines (a debugger, a measure of coverage) sees the functions as they stand; so does who puts a
  function or a number of their own into a module of the kernel, as some exercises do.
- The twins of a machine that the lab records note what they write: rows and values are appended to a list, as numbers,
  and made sense of by numpy once the run is over (`mmsim/machine/noting.py`, `mmsim/widgets/words.py`).
- `tests/test_interpreted.py` holds twins to their functions; an edit of the kernel is an edit of both.
"""


def cells(*texts):
    """A line of a table."""
    return f"| {' | '.join(texts)} |\n"


def goals(rows):
    """The rows that have a goal, below the name of their topic."""
    yield cells("", "figure", "goal", "", "ratio", "holds", "")
    yield cells("---", "--:", "--:", "---", "--:", "---", "---")
    for topic, measured in rows.items():
        wanted = [row for row in measured if row.goal is not None]
        if wanted:
            yield cells(f"**{TOPICS[topic]}**", *[""] * 6)
        for row in wanted:
            ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
            yield cells(row.what, said(row.figure), goal(row), row.unit, ratio, row.holds, row.note)


def others(rows, topics):
    """The rows of some topics that have no goal."""
    yield cells("", "figure", "", "")
    yield cells("---", "--:", "---", "---")
    for row in (row for topic in topics for row in rows.get(topic, ()) if row.goal is None):
        if not (row.raw and "floor" in row.raw):
            yield cells(row.what, said(row.figure), row.unit, row.note)


def where(kept):
    """Where and when each topic was measured."""
    seen = {}
    for topic, about in kept.items():
        place = f"{about['machine']}; Python {about['python']}; {about['date']}"
        seen.setdefault(place, []).append(f"{topic} {about['load']:.1f}")
    for place, loads in seen.items():
        yield f"\n{place}. Load of the machine before each topic: {', '.join(loads)}.\n"


def by_size(rows):
    """The compiled cases, a column for each size."""
    seen = [row.raw for row in rows["compiled"] if row.raw and "case" in row.raw]
    sizes = sorted({each["pages"] for each in seen})
    yield cells("", *(f"{pages:,} pages" for pages in sizes))
    yield cells("---", *["--:"] * len(sizes))
    for case in dict.fromkeys(each["case"] for each in seen):
        of = {each["pages"]: each for each in seen if each["case"] == case}
        yield cells(case, *(f"{of[n]['ns']:.0f}, {of[n]['ns'] / of[n]['floor']:.1f} x" for n in sizes))


def page(kept=None):
    """The text of docs/speed.md."""
    kept = kept or json.loads((HERE / "speed.json").read_text())
    rows = table(kept)
    compared = ("where", "others", "simulator")
    rest = [topic for topic in rows if topic not in compared]
    return "".join([HEAD, *goals(rows), *where(kept), SIZES, *by_size(rows),
                    WHERE, *others(rows, compared[:1]), AFTER, REST, *others(rows, rest),
                    OTHERS, *others(rows, compared[1:]), TAIL])  # fmt: skip


def readme(text, kept=None):
    """The text of the README with the figures that were kept."""
    rows = table(kept or json.loads((HERE / "speed.json").read_text()))
    of = {row.what: row for topic in rows.values() for row in topic}
    for name, case in {"direct": "direct, anonymous", "evicted: no patch": "eviction, no patch"}.items():
        seen = [of[f"{case}: {pages:,} pages"].raw["ns"] for pages in (4096, 1 << 20, 1 << 24)]
        text = re.sub(rf"(?m)^\| {name} \|.*$", cells(name, *(f"{ns:,.0f}" for ns in seen)).rstrip(), text)
    whole, first = of["a process that builds and migrates a job of 64 GB"], of["first compiled run"]
    job = f"about {whole.figure:.0f} seconds, with {whole.raw['GB']:.1f} GB"
    text = re.sub(r"about [\d.]+ seconds, with [\d.]+ GB", job, text)
    return re.sub(r"(waits some\s+)[\d.]+", rf"\g<1>{first.figure:.0f}", text)


if __name__ == "__main__":
    (HERE / "speed.md").write_text(page())
    README.write_text(readme(README.read_text()))
