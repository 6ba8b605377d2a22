"""mtpbench measured by itself: ratios in one run, with intervals (`make bench`)."""
