"""Makes rules, dashboards and the table of alerts; with --check, says whether they are in step with the code."""

import sys
from pathlib import Path

from deploy.monitoring.made import DASHBOARD_FOLDER, RULES, Monitoring, out_of_step

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Makes, or checks; returns the exit code."""
    monitoring = Monitoring()
    problems = list(monitoring.problems(ROOT))
    files = monitoring.files(ROOT)
    if sys.argv[1:] == ["--check"]:
        problems += [f"{name} is out of step: run make monitoring" for name in out_of_step(files, ROOT)]
    elif not problems:
        for folder in (RULES, DASHBOARD_FOLDER):
            for old in (ROOT / folder).glob("*"):
                old.unlink()
        for path, text in files.items():
            (ROOT / path).write_text(text, "utf-8")
    sys.stderr.write("".join(f"monitoring: {problem}\n" for problem in problems))
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
