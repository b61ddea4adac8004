"""The Space's own code: a page that reads one recording or one photo and keeps neither.

``convert.space`` copies this package into the folder it writes, as ``space``. ``voice`` and ``face`` read and
know nothing of pages; ``answers`` turns what they found, or what was wrong, into HTML; ``words`` holds every
sentence in both languages; ``page`` puts it together with Gradio.
"""
