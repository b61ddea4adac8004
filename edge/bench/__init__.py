"""``suasana bench``: what the kit costs on this machine, beside what others use instead.

Everything is measured in one run on the same frames, as processor time where work is compared, because a
machine that does other things too slows the wall clock and not that. What a board would take that nobody
measured is calculated from operations, and every such figure is marked as modelled.
"""
