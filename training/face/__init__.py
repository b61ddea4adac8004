"""The expression model: from FER-2013 to a network, its figures and their pages.

``sources`` (``kaggle``, ``folders``) reads the data into one ``layout``, which ``fer2013`` cleans;
``recipes`` and ``train`` make a ``net`` of it; ``evaluation`` and its neighbours judge the shipped files.
"""
