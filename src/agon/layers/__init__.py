"""Building blocks that more than one network family uses."""
