"""The commands of `mfd`, one file per verb."""
