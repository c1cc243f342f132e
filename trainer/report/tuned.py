"""What came of tuning, as text for a terminal."""

from trainer.tuning import Tuned


def tuned_text(found: Tuned) -> str:
    """Returns the best settings as the environment takes them, below comments that say how much better they are."""
    present, best = found.reached
    lead = found.lead
    verdict = "better beyond noise" if lead.is_above_zero else "not better beyond noise: keep what there is"
    before = f"best {found.best.reached:.4f}, settings at present {found.first.reached:.4f}"
    after = f"best {best:.4f}, settings at present {present:.4f}"
    return "\n".join(
        [
            f"# NDCG@10 on the days before the test, after {found.trials} trials: {before}.",
            f"# On the test, which no trial knew: {after},",
            f"# {lead.mean:+.4f} [{lead.low:+.4f}, {lead.high:+.4f}], {verdict}.",
            *(f"{name}={value}" for name, value in found.settings.items()),
        ]
    )
