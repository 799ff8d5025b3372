"""Configurations: what an image holds, what each trigger answers, and the widget for it."""

import re

import pytest

from mmsim import Config, plots
from mmsim.experiments.configs import (
    MACHINES,
    OPTIONS,
    TRIGGERS,
    answer,
    answers,
    as_sent,
    config_matrix,
    configuration,
    image_sizes,
    pull,
    small_machine,
    symbols,
)  # fmt: skip
from mmsim.plots.picture import Picture
from mmsim.widgets import ConfigMatrix


@pytest.fixture(scope="module")
def matrix():
    return config_matrix(7)


def test_the_matrix_has_every_configuration_once(matrix):
    assert len(matrix) == 32
    assert not matrix.duplicated(list(OPTIONS)).any()
    assert list(matrix.columns) == [*OPTIONS, "MIGRATION", "symbols", *TRIGGERS, "V1 as sent"]


def test_migration_is_derived(matrix):
    assert (matrix["MIGRATION"] == (matrix["NUMA"] | matrix["SPARSEMEM"] | matrix["DISCONTIGMEM"])).all()
    assert (matrix.loc[~matrix["MIGRATION"], "symbols"] == 0).all()
    assert matrix["MIGRATION"].sum() == 28


def test_system_calls_need_numa_and_the_kernels_own_caller_needs_migration(matrix):
    for trigger in "AB":
        assert ((matrix[trigger] == "-ENOSYS") == ~matrix["NUMA"]).all()
    assert ((matrix["D"] == "-ENOSYS") == ~matrix["MIGRATION"]).all()
    works = matrix["NUMA"] & matrix["SWAP"]
    assert (matrix.loc[works, list(TRIGGERS)] == "0, 4 moved").all(axis=None)
    assert (matrix.loc[matrix["MIGRATION"] & ~matrix["SWAP"], "D"] == "BUG()").all()


@pytest.mark.parametrize("patches", [(), (1,)])
def test_patch_1_changes_no_answer_where_migration_is_on(patches):
    server = configuration(*MACHINES["NUMA server"])
    assert set(answers(server, patches).values()) == {"0, 4 swapped out"}
    assert answer(configuration("SMP", "SWAP"), patches, "D") == ("-ENOSYS" if patches else "0, 4 swapped out")


@pytest.mark.parametrize("patches", range(8))
def test_without_swap_a_list_of_new_pages_decides_between_a_count_and_a_bug(patches):
    """swap_page() leaves a page without a mapping alone: eleven passes, and B and D count it.  With a list: BUG."""
    no_swap = configuration("NUMA", "DISCONTIGMEM", "SMP")
    counted = {"A": "0, none moved", "B": "4, none moved", "C": "0, none moved", "D": "4, none moved"}
    with_a_list = "ABCD" if patches >= 5 else "D" if patches >= 3 else ""
    assert answers(no_swap, patches) == counted | dict.fromkeys(with_a_list, "BUG()")
    kernel, task, heap = small_machine(no_swap, patches)
    if not with_a_list:
        pull(kernel, task, heap, "B")
        assert (kernel.last.passes, kernel.last.retried, task.placement(heap)) == (11, 4, [0] * 4)


def test_which_kernels_could_not_be_built_as_v1_was_sent(matrix):
    """kernel.md 9: with patch 4 a kernel without SWAP does not link, with patch 6 one without MIGRATION not compile."""
    sent = matrix["V1 as sent"]
    assert (sent != "builds").sum() == 18
    assert ((sent == "does not compile") == ~matrix["MIGRATION"]).all()
    assert ((sent == "does not link") == (matrix["MIGRATION"] & ~matrix["SWAP"])).all()
    every = [configuration(*(name for name in OPTIONS if line[name])) for _, line in matrix.iterrows()]
    failed = [sum(as_sent(config, n) != "builds" for config in every) for n in range(8)]
    assert failed == [0, 0, 0, 0, 16, 16, 18, 18]


def test_symbols_say_why_not():
    why = symbols(configuration("SMP", "SWAP"), (1,))
    assert why["migrate_pages"] == "left out by patch 1"
    assert why["sys_mbind"] == "needs NUMA"
    assert symbols(configuration("NUMA", "SWAP"), (1,))["lru_add_drain_per_cpu"] == "left out by patch 1"
    assert symbols(configuration("NUMA", "SMP"), 7)["remove_from_swap"] == "needs SWAP"
    assert not any(symbols(configuration(*OPTIONS), 7).values())


def test_images_of_five_machines():
    sizes = image_sizes()
    assert list(sizes.index) == list(MACHINES)
    assert (sizes["with patch 1"] <= sizes["without patch 1"]).all()
    assert sizes.loc["dual-processor PC"].tolist() == [5, 0]
    assert "dual-processor PC 5 and 0" in Picture(plots.images(sizes)).alt


def test_configuration():
    assert configuration() == Config(False, False, False, False, False)
    assert configuration("NUMA", "SMP") == Config(smp=True, swap=False)
    with pytest.raises(ValueError, match="no option 'numa' here; there are NUMA, SPARSEMEM"):
        configuration("numa")


# -- the widget


@pytest.fixture
def widget():
    return ConfigMatrix()


def row(html, name):
    return re.sub(r"<[^>]*>", " ", next(part for part in html.split("<tr>") if name in part))


def test_the_switches_are_the_configuration(widget):
    assert widget.config == configuration("NUMA", "SMP", "SWAP")
    assert widget.patches == (1,)
    for name, made in widget.options.items():
        before = made.value
        made.value = not before
        assert getattr(widget.config, name.lower()) != before


def test_functions_vanish_with_numa(widget):
    assert "✓ in the image" in row(widget.symbols.value, "migrate_pages()")
    assert "CONFIG_MIGRATION=y" in widget.line.value
    widget.options["NUMA"].value = False
    assert "✗ left out by patch 1" in row(widget.symbols.value, "migrate_pages()")
    assert "<s><code>migrate_pages()</code></s>" in widget.symbols.value
    assert "✗ needs NUMA" in row(widget.symbols.value, "sys_mbind()")
    assert "CONFIG_MIGRATION=n" in widget.line.value
    assert "-ENOSYS" in row(widget.triggers.value, "in-kernel")
    widget.options["SPARSEMEM"].value = True
    assert "0, 4 swapped out" in row(widget.triggers.value, "in-kernel")
    assert "-ENOSYS" in row(widget.triggers.value, "mbind()")


def test_without_patch_1_every_kernel_has_the_code(widget):
    widget.options["NUMA"].value = False
    widget.patch_1.value = False
    assert "There is no CONFIG_MIGRATION" in widget.line.value
    assert "✓ in the image" in row(widget.symbols.value, "migrate_pages()")
    assert widget.others.disabled, "patches 3 to 7 need patch 1"
    assert widget.patches == ()


def test_all_seven_patches(widget):
    widget.others.value = True
    assert "remove_from_swap" in widget.symbols.value
    assert widget.triggers.value.count("0, 4 moved") == 4
    assert "As the patches were sent" not in widget.line.value
    widget.options["SWAP"].value = False
    assert "As the patches were sent, this kernel does not link" in widget.line.value
    assert widget.triggers.value.count("BUG()") == 4


def test_what_it_shows_is_what_the_matrix_says(widget, matrix):
    widget.others.value = True
    for _, line in matrix.sample(6, random_state=7).iterrows():
        for name in OPTIONS:
            widget.options[name].value = bool(line[name])
        assert widget.answers == line[list(TRIGGERS)].to_dict()
        assert sum(not why for why in widget.found.values()) == line["symbols"]


def test_it_can_be_read_as_text(widget):
    text = widget._repr_mimebundle_()["text/plain"]
    assert "A: 0, 4 swapped out" in text
    assert "migrate_pages" in text
