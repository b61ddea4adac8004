"""The practice game: somebody shows an expression that was asked for, and the kit may learn from it.

    Frame ─► closeup ─► Look ─► game ─► Reading ─► edge.events.Practice
                                 └────► Example ─► pupil ─► adapt ─► learned
                                                              └ reference: what must not be lost

Only the last file outlives the game: a few numbers a sense, which read every room from then on.
"""
