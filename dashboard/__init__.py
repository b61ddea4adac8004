"""The teacher's page: broker -> bus -> feed (board, history) -> app -> the browser.

``board`` is pure, ``history`` is the file, ``feed`` joins them; ``bus`` knows the broker, ``app`` knows HTTP.
"""
