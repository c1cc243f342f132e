"""Whole logs brought in at once: the KuaiRand data set, or a simulated catalogue and log."""
