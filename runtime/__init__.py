"""What every process needs to be a good service: settings, logs, metrics, health, drain."""
