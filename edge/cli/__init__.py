"""The commands of ``suasana``, a module each: ``add`` tells argparse about it, ``run`` does it.

Every command imports what it needs when it runs, so that none waits for another's libraries.
"""
