"""What a user would install instead of the kit, measured in an environment of its own, on the same faces.

TensorFlow would not go with the kit's pinned packages, so each rival has a virtual environment
(``make bench-rivals``), in which ``visitor.py`` runs, a script that imports nothing of ours.
"""
