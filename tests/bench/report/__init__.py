"""The published benchmark: every speed and failure figure of one machine, on one page, made by `make bench-report`."""
