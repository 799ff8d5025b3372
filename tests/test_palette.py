"""One colour has one meaning: what belongs to no family is grey."""

from mmsim.plots.configs import LOOKS as image_looks
from mmsim.plots.sweep import LINES as sweep_lines
from mmsim.plots.verdicts import LOOKS as verdict_looks
from mmsim.plots.zones import LINES as zone_lines


def test_what_has_no_family_of_colours_is_grey():
    """Verdicts, kinds of allocation, kernels and settings that are compared: none of what colours stand for."""
    looks = [*verdict_looks.values(), *image_looks.values()]
    colours = [look.colour for look in looks] + [each[0] for each in (*sweep_lines, *zone_lines)]
    assert all(len({colour[i : i + 2] for i in (1, 3, 5)}) == 1 for colour in colours)
    assert len(set(zone_lines)) == len(zone_lines)
    assert len(set(sweep_lines)) == len(sweep_lines)
    for group in (verdict_looks, image_looks):
        assert len({(look.colour, look.hatch) for look in group.values()}) == len(group)

