"""How a process ends: 0 when it has drained, else one of these."""

from typing import Final

EXIT_FAILED: Final = 1
EXIT_WRONG_SETTINGS: Final = 2
