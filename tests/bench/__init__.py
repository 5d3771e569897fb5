"""What Tillside costs beside the least that would do the same work: ratios, printed, never asserted.

    make bench

Both sides run in one go on the same machine, since the figures belong to the machine and only ratios travel.
"""
