"""`python -m trainer …`, the same as `feed trainer …`."""

from trainer.cli import app

if __name__ == "__main__":
    app(prog_name="feed trainer")
