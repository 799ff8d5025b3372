"""A recording that cannot be: the message names file, line, experiment and key, and what would be right."""

import copy
import json
import random
import re

import pytest

from mmsim import cli
from mmsim.experiments.records import Record, RecordError, read
from mmsim.experiments.verify import RECORDS, judge_all

LINES = [json.loads(line) for line in RECORDS["6.1"].read_text().splitlines()]
BY_ID = {line["id"]: line for line in LINES}
GROUPS = list(dict.fromkeys(line["group"] for line in LINES[1:]))


def changed(name, **parts):
    """A recorded experiment with other values; `...` leaves a key out: setup=..., call=..., or keys of its own."""
    record = copy.deepcopy(BY_ID[name])
    for part, values in parts.items():
        place = record if part == "raw" else record[part]
        for key, value in values.items():
            place.pop(key, None) if value is ... else place.update({key: value})
    return record


@pytest.fixture
def write(tmp_path):
    """Write records, or lines of text, behind the line about the machine: the path."""

    def write(*records, machine=LINES[0]):
        path = tmp_path / "mine.jsonl"
        texts = [each if isinstance(each, str) else json.dumps(each) for each in (machine, *records)]
        path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
        return path

    return write


WRONG = {
    "no group": (changed("mp_s0_s2", raw={"group": ...}), "the record has no 'group'"),
    "no answer": (changed("mp_s0_s2", raw={"ret": ...}), "the record has no 'ret'"),
    "an answer in words": (changed("mp_s0_s2", raw={"ret": "EIO"}), "ret is 'EIO'; it must be a whole number"),
    "no pages": (changed("mp_s0_s2", setup={"pages": ...}), "setup has no 'pages'"),
    "half a page": (changed("mp_s0_s2", setup={"pages": 0.5}), "setup.pages is 0.5; it must be a whole number from 1"),
    "pages without end": (changed("mp_s0_s2", setup={"pages": 10**9}), "setup.pages is 1000000000; it must be"),
    "more pages than places": (changed("mp_s0_s2", setup={"pages": 16}), "before is about 12 pages; it must be 16"),
    "a cpu that is not there": (changed("mp_s0_s2", setup={"cpu": 4}), "setup.cpu is 4; .* from 0 to 3"),
    "a kind that is no text": (changed("mp_s0_s2", setup={"kind": ["huge"]}), r"setup.kind is \['huge'\]; .* a text"),
    "no place before": (changed("mp_s0_s2", raw={"before": ...}), "has no 'before'"),
    "a node that is not there": (changed("mp_s0_s2", raw={"after": [4] * 12}), r"after is \[4, 4.* \(0 to 3\)"),
    "a node in words": (changed("mp_s0_s2", call={"to": ["two"]}), r"call.to is \['two'\]; it must be a list of nodes"),
    "nowhere to go": (changed("mp_s0_s2", call={"to": []}), r"call.to is \[\]; it must be a list of at least one node"),
    "no target": (changed("mp_s0_s2", call={"to": ...}), "call has no 'to'"),
    "no call at all": (changed("mp_s0_s2", raw={"call": 3}), "call is 3; it must be an object"),
    "a policy for no node": (changed("cs_vpol0_att", setup={"vma_policy_nodes": [0, 9]}),
                             r"setup.vma_policy_nodes is \[0, 9\]; it must be a list of nodes in order, 0 to 3"),
    "numa_maps without a policy": (changed("mp_s0_s2", raw={"numa_maps": ["1000"]}), r"numa_maps is \['1000'\]; it"),
    "a full node that is none": (changed("fl_mp_leave0", setup={"pages": 4}), "setup.pages must be at least 20"),
    "pages of an old state in words": (changed("mp_s0_s2", raw={"state_before": {"mapped": 3}}),
                                       "state_before is .* an object with numa_maps, mapped, no_pte"),
    "faults in words": (changed("mp_s0_s2", raw={"read_touch": {"minflt": "many", "majflt": 0}}),
                        "read_touch is .* an object with minflt, majflt"),
    "no JSON": ("{no", "this is not JSON"),
    "a number": ("5", "5 is no JSON object"),
    "too deep": ("[" * 100_000, "this is not JSON"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(name, write, capsys):
    record, said = WRONG[name]
    path = write(changed("mp_s0_s0"), record)
    where = f"{path}, line 3" + (f" ({record['id']})" if isinstance(record, dict) else "")
    with pytest.raises(RecordError, match=said) as caught:
        judge_all(path)
    assert str(caught.value).startswith(f"{where}: ")
    with pytest.raises(SystemExit) as ended:
        cli.main(["verify", str(path)])
    assert ended.value.code == 2
    assert f"FILE: {where}: " in capsys.readouterr().err


NOT_KNOWN = {
    "a group": changed("mp_s0_s2", raw={"group": "own"}), "a kind": changed("mp_s0_s2", setup={"kind": "wood"}),
    "a variant": changed("mbm_00", call={"variant": "bind"}), "flags": changed("mb_default_f1", call={"flags": "HARD"}),
    "a full node": changed("fl_mp_leave0", setup={"node3": "full"}),
    "a key": changed("mp_s0_s2", setup={"colour": "green"}),
    "an obstacle": changed("spc0_mb_move", setup={"special": "glue on all 8 pages"}),
    "a way to share": changed("sh_mb_k0_f3", setup={"sharing": "fork: both processes map pages 0-3"}),
    "a call": changed("mp_s0_s2", call={"name": "migrate_pages slowly"}),
    "a sentence around a call": changed("sw_0_cpu0", call={"variant": "pages 8-15 sold; migrate_pages {0}->{1}"}),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_KNOWN)
def test_words_that_nobody_knows_are_not_asked(name, write):
    (found,) = judge_all(write(NOT_KNOWN[name]))
    assert (found.verdict, found.why[:15]) == ("not asked", "unknown words: ")


@pytest.mark.parametrize(
    ("machine", "said"),
    [({"id": "env"}, "the record has no 'distance0'"), (LINES[0] | {"distance1": "20 10"}, "are none: .*row 1"),
     (LINES[0] | {"distance0": "10 x 30 30"}, r"distances .* none: distances\[0\]\[1\] is 'x'"),
     (LINES[0] | {"distance0": 7}, "are none"), ("[]", r"\[\] is no JSON object")],
)  # fmt: skip
def test_a_machine_that_cannot_be_is_named(machine, said, write):
    path = write(changed("mp_s0_s2"), machine=machine)
    with pytest.raises(RecordError, match=said) as caught:
        judge_all(path)
    assert str(caught.value).startswith(f"{path}, line 1: ")


def test_no_text_and_nothing(tmp_path):
    path = tmp_path / "a.jsonl"
    for content, said in ((b"\xff\xfe\x00", "is no text in UTF-8"), (b"\n\n", "is empty")):
        path.write_bytes(content)
        with pytest.raises(RecordError, match=f"{re.escape(str(path))}:? .*{said}"):
            read(path)


def test_a_byte_order_mark_and_empty_lines_are_no_matter(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(f"{json.dumps(LINES[0])}\n\n{json.dumps(BY_ID['mp_s0_s2'])}\n", encoding="utf-8-sig")
    assert [it.verdict for it in judge_all(path)] == ["equal"]


def test_an_object_says_where_it_stands_whatever_is_added_to_it():
    facts = Record({"a": 1}, "mine.jsonl, line 3", "call") | {"b": 2}
    assert facts == {"a": 1, "b": 2}
    with pytest.raises(RecordError, match=r"mine\.jsonl, line 3: call has no 'c'"):
        facts["c"]


VALUES = [None, 0, -1, 3, 9, 1.5, "", "x", "none", [], [3], ["x"], [0, 0], {}, {"a": 1}, True, 10**12, "MPOL_BIND"]


@pytest.mark.parametrize("group", GROUPS)
def test_a_record_that_is_damaged_anywhere_is_compared_or_named(group, write):
    rng = random.Random(group)
    records = [line for line in LINES[1:] if line["group"] == group]
    for _ in range(12):
        record = copy.deepcopy(rng.choice(records))
        place = rng.choice([record, record["setup"], record["call"]])
        key = rng.choice(list(place))
        if rng.random() < 0.4:
            del place[key]
        else:
            place[key] = copy.deepcopy(rng.choice(VALUES))
        path = write(record)
        try:
            (found,) = judge_all(path)
        except RecordError as error:
            assert str(error).startswith(f"{path}, line 2")  # noqa: PT017 -- that there is one is no must
        else:
            assert not re.match("(Key|Index|Type|Attribute|Value)Error", found.model.get("error", "")), record
