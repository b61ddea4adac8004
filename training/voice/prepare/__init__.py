"""From long recordings to data: cut into utterances, labelled by several people, split by speaker."""
