"""What a kit learns in the practice game, tried out: classes that play, other heads, tables."""
