"""The seven patches of the series, as data."""

from typing import NamedTuple


class Patch(NamedTuple):
    """One patch: its number, title, the kernel files it touches, functions it adds or changes, and what it needs."""

    number: int
    title: str
    files: tuple
    functions: tuple
    needs: tuple


PATCHES = (
    Patch(1, "CONFIG_MIGRATION", ("mm/Kconfig", "mm/vmscan.c", "include/linux/swap.h"), (), ()),
    Patch(2, "SwapCache recheck", ("mm/memory.c", "mm/shmem.c", "mm/swapfile.c"),
          ("do_swap_page", "shmem_getpage", "try_to_unuse"), ()),
    Patch(3, "Direct migration", ("mm/vmscan.c",),
          ("migrate_pages", "migrate_page", "migrate_page_remove_references", "migrate_page_copy"), (1,)),
    Patch(4, "remove_from_swap", ("mm/rmap.c", "mm/swapfile.c", "mm/vmscan.c"),
          ("remove_from_swap", "unuse_pte"), (3,)),
    Patch(5, "MPOL_MF_MOVE and migrate_pages()", ("mm/mempolicy.c",),
          ("migrate_pages_to", "migrate_to_node", "do_migrate_pages", "do_mbind"), (3,)),
    Patch(6, "migrate_page methods", ("fs/buffer.c", "mm/swap_state.c", "fs/ext2", "fs/ext3", "fs/xfs"),
          ("buffer_migrate_page", "fail_migrate_page", "migrate_page_method"), (3,)),
    Patch(7, "add_to_swap with a gfp mask", ("mm/swap_state.c", "mm/vmscan.c"), ("add_to_swap",), (1,)),
)  # fmt: skip


def parse_patches(patches):
    """The set of patch numbers that `patches` asks for: an int n (the first n) or an iterable of numbers.

    Raises
    ------
    ValueError
        For a number that is no patch, or a patch without one that it needs.
    """
    from .arguments import shown, whole  # here, as the patches as data are read where there is no numpy

    try:
        if isinstance(patches, str) or not hasattr(patches, "__iter__"):
            first = whole(patches, "patches")
            wrong, chosen = [first] * (not 0 <= first <= 7), range(1, first + 1)
        else:
            chosen = [whole(p, "patches") for p in patches]
            wrong = sorted(p for p in chosen if not 1 <= p <= 7)
    except (TypeError, ValueError) as error:
        right = "give an int from 0 to 7, or patch numbers as in (1, 3, 4)"
        raise type(error)(f"patches is {shown(patches)}; {right}") from None
    if wrong:
        raise ValueError(f"patches: there is no patch {wrong[0]}; they are numbered 1 to 7")
    chosen = frozenset(chosen)
    for patch in PATCHES:
        missing = [n for n in patch.needs if n not in chosen]
        if patch.number in chosen and missing:
            raise ValueError(
                f"patches: patch {patch.number} ({patch.title}) needs patch {missing[0]}, which is missing"
            )
    return chosen
