"""A link that is the lab: what stands in an address, what a bad one says, and the same as a line of Python."""

import pytest

from mmsim import Kernel, Topology
from mmsim.widgets import MigrationLab, address

ASKED = {
    "machine": "layout=two%20tasks%20share%20by%20fork&trigger=B&from=0&to=3",
    "call": "trigger=A&to=2&all=1&strict=1",
    "obstacles": "trigger=B&from=0&to=2&lock=7&pin=5,11&share=3",
    "another task's": "layout=two%20tasks%20share%20by%20fork&trigger=B&from=0&to=2&pin=3%20of%20b",
    "patches": "trigger=D&from=0&to=1&patches=1,3",
    "no patches": "trigger=B&from=0&to=2&patches=0",
    "release": "release=2.6.18&trigger=C&from=0&to=1",
    "beside": "trigger=B&from=0&to=2&beside=4",
    "baseline": "trigger=B&from=0&to=2&beside=0",
    "releases": "release=6.1&trigger=B&from=0&to=2&beside=V1",
    "step": "trigger=B&from=0&to=2&step=40",
    "simple": "trigger=B&from=0&to=2&simple=1",
    "seed": "layout=a%20heap%20at%20random%20%28seed%29&seed=7&trigger=B&from=0&to=2",
}


@pytest.mark.parametrize("query", ASKED.values(), ids=ASKED)
def test_an_address_gives_the_lab_that_gives_the_address(query):
    lab = MigrationLab.from_address(query)
    assert "address" not in lab.message
    assert lab.link() == f"?{query}"
    again = eval(lab.line())
    assert (repr(again), again.line()) == (repr(lab), lab.line())
    assert MigrationLab.from_address(lab.link()).link() == f"?{query}", "the ? may be there"


def test_what_is_shown_is_in_the_address():
    lab = MigrationLab()
    assert lab.line() == "MigrationLab(trigger='B', old='0', new='2')"
    lab.controls["release"].value = "2.6.16"
    lab.controls["layout"].value = "a heap, one page pinned"
    lab.place("lock", 7)
    lab.step = 12
    machine, call = "layout='a heap, one page pinned', release='2.6.16'", "trigger='B', old='0', new='2'"
    assert lab.line() == f"MigrationLab({machine}, {call}, obstacles={{'lock': [7]}}, step=12)"


WRONG = {
    "layuot=x": ("layuot=x, which the lab does not know; it knows layout, seed, trigger, from", {}),
    "patches=9": ("patches=9: they are numbers up to 7, as in 1-4 or 1,3, or 0 for none", {}),
    "patches=4": ("patch 4 (remove_from_swap) needs patch 3", {}),
    "trigger=Z&to=1": ("trigger=Z: it is one of A, B, C, D", {"new": "1"}),
    "release=9.9": ("the nearest that the model knows is 6.12", {}),
    "beside=6.99": ("the nearest that the model knows is 6.12", {}),
    "from=9&step=30": ("there is no node 9", {"step": 30}),
    "to=x": ("to=x: they are nodes", {}),
    "step=9999&pin=5": ("step is 9999; this run has the steps 0 to", {"obstacles": {"pin": [5]}}),
    "step=-1": ("step=-1: it is a whole number", {}),
    "pin=99&step=30": ("There is no page 99", {"step": 30}),
    "pin=x": ("pin=x: they are pages counted from 0", {}),
    "pin=3 of z": ("There is no page 3 of z", {}),
    "dirty=3&to=1": ("page 3 of a: it has been written, so it is dirty already", {"new": "1"}),
    "beside=7&patches=1-4": ("beside is 7; it is a patch that this machine has", {"patches": (1, 2, 3, 4)}),
    "layout=heap": ("layout=heap: it is one of one heap", {}),
    "seed=-3": ("seed=-3: it is a whole number from 0 to 9999", {}),
    "simple=yes": ("simple=yes: it is a whole number from 0 to 1", {}),
    "from=0-9&to=0-9&trigger=D": ("there is no node", {"trigger": "D"}),
}  # fmt: skip


@pytest.mark.parametrize("query", WRONG)
def test_a_bad_value_is_a_sentence_and_the_rest_is_followed(query):
    said, kept = WRONG[query]
    lab = MigrationLab.from_address(query)
    assert said in lab.message
    assert lab.message.startswith("The address ")
    assert "[Errno" not in lab.message
    assert kept.items() <= lab.settings().items()
    assert lab.message in lab._note.value.replace("<b>", "").replace("</b>", "").replace("&#x27;", "'") or "<" in said


def test_what_the_page_itself_has_in_its_address_is_passed_over():
    lab = MigrationLab.from_address("voila-theme=dark&token=abc&path=x.ipynb&trigger=A&to=1")
    assert lab.message == ""
    assert lab.controls["trigger"].value == "A"


def test_the_query_of_the_page_is_taken_where_there_is_one(monkeypatch):
    monkeypatch.setenv("QUERY_STRING", "trigger=A&to=3&step=5")
    lab = MigrationLab.from_address()
    assert (lab.controls["trigger"].value, lab.step) == ("A", 5)
    monkeypatch.delenv("QUERY_STRING")
    assert MigrationLab.from_address().line() == MigrationLab().line()


def test_the_whole_address_where_the_page_is_known():
    lab = MigrationLab(new=1)
    lab._line.here = "http://localhost:8866/voila/render/migration-lab.ipynb?trigger=A"
    assert lab.link() == "http://localhost:8866/voila/render/migration-lab.ipynb?trigger=B&from=0&to=1"
    lab._line.here = "https://somebody.github.io/mmsim/lite/repl/index.html?kernel=python&execute=1&code=x"
    where, _, code = lab.link().partition("?")
    assert where == "https://somebody.github.io/mmsim/lite/repl/index.html"
    code = dict(address.parse_qsl(code))["code"]
    assert code.splitlines()[-1] == "MigrationLab.from_address('trigger=B&from=0&to=1')"


def test_a_machine_of_ones_own_has_a_line_and_no_address():
    kernel = Kernel(Topology.ring(nodes=3, frames=64), patches=7, swap_slots=32)
    task = kernel.spawn("a", uid=0)
    task.touch(task.mmap(4), write=True)
    lab = MigrationLab(kernel, new=1)
    assert lab.line() == "MigrationLab(machine, trigger='B', old='0', new='1', patches=(1, 2, 3, 4, 5, 6, 7))"
    with pytest.raises(ValueError, match="the machine is your own"):
        lab.link()
    lab.controls["Link"].click()
    assert "there is no address of it" in lab._link.value
    assert "MigrationLab(machine, " in lab._link.value
    for name, value in {"layout": "one heap", "seed": 1, "release": "6.1"}.items():
        with pytest.raises(ValueError, match=f"{name} is .*, but the machine is your own"):
            MigrationLab(kernel, new=1, **{name: value})


def test_the_fields_follow_what_is_shown_while_they_are_seen():
    lab = MigrationLab()
    assert lab._link.value == ""
    lab.controls["Link"].click()
    assert "?trigger=B&amp;from=0&amp;to=2" in lab._link.value
    lab.step = 7
    assert "step=7" in lab._link.value
    lab.controls["Link"].click()
    lab.step = 8
    assert "step=8" not in lab._link.value


@pytest.mark.parametrize(("given", "said"), [
    ({"layout": "heap"}, "layout is 'heap'; it is one of one heap"),
    ({"seed": -1}, "seed is -1; give a whole number from 0 to 9999"),
    ({"release": "9.9"}, "release is '9.9'"),
    ({"step": 10**6}, "step is 1000000; this run has the steps 0 to"),
    ({"step": True}, "step is True"),
    ({"obstacles": ["pin"]}, "obstacles is .*; give a dict of lock, pin, dirty, share"),
    ({"obstacles": {"pin": 5}}, "obstacles is .*; give a dict of lock, pin, dirty, share"),
    ({"obstacles": {"nail": [5]}}, "obstacles has 'nail'; give a dict of lock"),
    ({"obstacles": {"pin": [99]}}, "There is no page 99"),
    ({"beside": "9.9"}, "release is '9.9'"),
])  # fmt: skip
def test_bad_arguments_are_refused(given, said):
    with pytest.raises(ValueError, match=said):
        MigrationLab(**given)


def test_a_release_has_its_own_patches_and_v1_may_stand_beside_it():
    lab = MigrationLab(release="2.6.18")
    assert all(lab.controls[n].disabled for n in range(1, 8))
    assert [value for _, value in lab.controls["beside"].options[:2]] == ["", "V1"]
    lab.controls["beside"].value = "V1"
    titles = [title.value for title in lab._titles]
    assert titles == ["<b>Linux 2.6.18 (2006-09-20)</b>", "<b>V1 (November 2005), patches 1, 2, 3, 4, 5, 6, 7</b>"]
    texts = ["\n".join(run.text(step) for step in range(run.steps)) for run in (lab.recording, lab.beside)]
    assert ["migration entry" in text for text in texts] == [True, False]
    assert "Linux 2.6.18 (2006-09-20)" in lab._summary.value
    lab.controls["release"].value = "V1"
    assert not lab.controls[4].disabled
    assert lab.beside is None, "V1 is no other kernel than V1"
