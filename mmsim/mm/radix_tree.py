"""Radix trees (lib/radix-tree.c): the slots where a page stands in its file, or in the swap cache."""

from .page_alloc import ANY_NODE, alloc_pages
from .structs import PG_slab, RADIX_KEYS, RADIX_NODES, VM_SLAB_PAGES
from .trace import SLAB_PAGE, trace


def file_page(k, m, index):
    """The row of k.file_page for page `index` of a file (the slot that radix_tree_lookup finds)."""
    return k.mapping[m].base + index


def radix_tree_node_alloc(k, gfp):
    """A radix tree node from the slab (kmem_cache_alloc), which grows if it is empty: 1, or 0 without memory."""
    if not k.sys.slab_nodes and not cache_grow(k, gfp):
        return 0
    k.sys.slab_nodes -= 1
    return 1


def cache_grow(k, gfp):
    """Give the slab of radix tree nodes a page more (mm/slab.c): 1, or 0 without memory."""
    pfn = alloc_pages(k, gfp, k.task[k.sys.current].node, ANY_NODE)
    if not pfn:
        return 0
    k.mem_map[pfn].flags |= PG_slab
    k.vmstat[VM_SLAB_PAGES] += 1
    k.sys.slab_nodes += RADIX_NODES
    trace(k, SLAB_PAGE, pfn, 0, 0)
    return 1


def radix_tree_insert(k, entry, pfn, gfp):
    """Put a page into the slot of `entry`; the first key of a group of 64 needs a node: 0 without memory."""
    group = entry // RADIX_KEYS
    if k.radix_count[group] == 0:
        if not radix_tree_node_alloc(k, gfp):
            return 0
        if k.radix_count[group]:  # reclaim has made this node while we waited for memory: give ours back
            k.sys.slab_nodes += 1
    k.radix_count[group] += 1
    k.swap_cache[entry] = pfn
    return 1


def radix_tree_delete(k, entry):
    """Empty one slot of the swap cache's radix tree; its node goes back to the slab with the last key."""
    k.swap_cache[entry] = 0
    group = entry // RADIX_KEYS
    k.radix_count[group] -= 1
    if k.radix_count[group] == 0:
        k.sys.slab_nodes += 1
