"""Runs the insights."""

import sys

from insights.app import build
from insights.settings import InsightsSettings
from runtime.process import main

if __name__ == "__main__":
    sys.exit(main("insights", InsightsSettings, build))
