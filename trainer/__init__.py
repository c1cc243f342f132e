"""The nightly job: export, fit, evaluate, gate, publish."""
