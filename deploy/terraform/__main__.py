"""Makes declared.json, which the modules read; with --check, says whether it is in step with the code."""

import sys
from pathlib import Path
from typing import Final

from deploy.terraform.declared import text

FILE: Final = Path(__file__).with_name("declared.json")


def main() -> int:
    """Makes, or checks; returns the exit code."""
    made = text()
    if sys.argv[1:] != ["--check"]:
        FILE.write_text(made, "utf-8")
    elif not FILE.exists() or FILE.read_text("utf-8") != made:
        sys.stderr.write("deploy/terraform/declared.json is out of step: run make terraform\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
