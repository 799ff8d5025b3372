"""HistoryLab: the table, the borders, and two kernels beside each other where they part."""

import pytest

from mmsim import Kernel, Scenario, Topology
from mmsim.experiments.catalogue import EXPERIMENTS
from mmsim.widgets import HistoryLab


def moved(kernel):
    """Four pages go to node 1."""
    task = kernel.spawn("a")
    heap = task.mmap(4)
    task.touch(heap, write=True)
    return {"answer": task.migrate_pages(0, 0, 1), "none": 0}


def test_it_shows_each_border_and_what_made_it():
    lab = HistoryLab("absent node beside a present one")
    assert [release for release in lab.controls if release[0] in "V2346"] == ["2.6.16-rc1", "V1", "2.6.23", "4.16"]
    assert lab.controls["4.16"].description == "4.16: targets-clipped"
    assert "4 borders" in lab.line.value
    for text in ("<th scope=col>2.6.23</th>", "<td class=new>-EINVAL</td>", "up to 6.12"):
        assert text in lab.table.value
    assert "2.6.24" not in lab.table.value


def test_a_border_shows_two_kernels_where_they_part():
    lab = HistoryLab("a machine without swap")
    lab.controls["2.6.18"].click()
    names, (before, after), parting = lab.beside
    assert names == ("Linux 2.6.18 without migration-entries", "Linux 2.6.18")
    same = [each[["function", "text"]].head(parting).to_numpy().tolist() for each in (before, after)]
    assert same[0] == same[1]
    assert len(before) == parting or before["text"].iloc[parting] != after["text"].iloc[parting]
    assert after["function"].iloc[parting:].str.contains("try_to_unmap").any()
    assert f"They part at event {parting + 1}." in lab.line.value
    assert lab.controls["event"].value == parting
    assert "class=parting" in lab.parts.value
    assert "Linux 2.6.18 without migration-entries" in lab.parts.value
    pictures = lab.pictures.value.split("</figure>")[:2]
    for name, picture, event in zip(names, pictures, (None, "frame 1 is taken off its LRU list"), strict=True):
        assert f"<figcaption>{name}</figcaption>" in picture
        assert "node 0: 59 free, 4 mapped, 1 of the kernel" in picture
        assert f"The machine at event {parting + 1}" in picture
        assert (event or "nothing more happens") in picture
    assert "in hand is page 0 of a (frame 1)" in pictures[1]
    lab.controls["event"].value = 0
    assert "<th scope=row>1</th>" in lab.parts.value
    assert lab.pictures.value.count("node 0: 62 free, 1 mapped, 1 of the kernel") == 2
    lab.controls["event"].value = len(after) - 1
    assert "node 1: 60 free, 4 mapped" in lab.pictures.value.split("</figure>")[1]


def test_a_picture_of_an_experiment_that_needs_much_memory_shows_all_of_it():
    def large(kernel):
        task = kernel.spawn("a")
        heap = task.mmap(1000)
        task.touch(heap, write=True)
        return {"answer": task.migrate_pages(0, 0, 1), "there": task.placement(heap).count(1)}

    lab = HistoryLab(large, ["V1", "2.6.18"], swap_slots=0)
    lab.look("2.6.18")
    assert lab.pictures.value.count("<img src='data:image/png".replace("'", '"')) == 2
    assert "1000 mapped" in lab.pictures.value


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_border_of_every_experiment_can_be_looked_at(name):
    lab = HistoryLab(name)
    assert "borders: choose one" in lab.line.value
    for release in dict.fromkeys(lab.history.changed["release"]):
        lab.look(release)
        assert "They part at event" in lab.line.value


def test_another_experiment_is_chosen():
    lab = HistoryLab(moved, ["2.6.14", "2.6.18"])
    assert lab.controls["experiment"].value == "moved"
    assert "Four pages go to node 1." in lab.line.value
    assert "none" not in lab.table.value.split("<tr>", 2)[2]
    lab.look("2.6.18")
    lab.controls["experiment"].value = "a heap that was only read"
    assert lab.parts.value == lab.pictures.value == ""
    assert lab.release is None
    assert "2.6.14" in repr(lab)


def test_a_shipped_scenario_runs_small_and_is_traced():
    lab = HistoryLab("low-swap", ["V1", "2.6.18"])
    lab.look("2.6.18")
    assert lab.history.facts.loc["in_use", "V1"] == 512
    assert "They part at event" in lab.line.value
    assert lab.pictures.value.count("512 mapped") == 2


def test_a_scenario_of_functions_keeps_no_trace():
    def build(release=None):
        kernel = Kernel(Topology.uniform(nodes=2, frames=256), release=release, swap_slots=0, trace=False)
        job = kernel.spawn("job")
        job.touch(job.mmap(4), write=True)
        return kernel

    lab = HistoryLab(Scenario("mine", build, lambda kernel: kernel.tasks[0].migrate_pages(0, 0, 1)), ["V1", "6.1"])
    lab.look("6.1")
    assert "This scenario keeps no trace." in lab.line.value
    assert lab.parts.value == lab.pictures.value == ""


def test_what_is_no_experiment_or_border_is_refused():
    with pytest.raises(ValueError, match="experiment is 'swap'; there are: absent node"):
        HistoryLab("swap")
    with pytest.raises(ValueError, match=r"release is '5\.0'; something changed in 2\.6\.16-rc1"):
        HistoryLab("a machine without swap").look("5.0")
