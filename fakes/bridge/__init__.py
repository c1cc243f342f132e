"""`feed fake-bridge`: the real bridge on its own, with a scripted scorer and invented lists."""
