"""The page that tells a person what came of a run: one HTML file with its pictures, no script, no network."""
