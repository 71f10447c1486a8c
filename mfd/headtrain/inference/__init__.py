"""From features to masks: select, predict, paste, draw."""
