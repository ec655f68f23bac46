"""The words of tables, figures and pages: what experiments, methods, settings and metrics are called there."""

PAPER = "SDEdit (Meng et al. 2022, arXiv:2108.01073)"
EXPERIMENTS = {
    "synthesis": (
        "Strokes to pictures",
        "Held-out pictures are turned into strokes, and every method makes pictures of the strokes again (tables 1 and "
        "2 of the paper).",
    ),
    "t0": (
        "Realism against faithfulness",
        "With a larger t0 the edits are more realistic and less like their guides (figure 3 of the paper).",
    ),
    "colors": (
        "Strokes of more colours",
        "The more colours the strokes have, the more they say about the picture (table 4 of the paper).",
    ),
    "repeats": ("Repeats K", "Every repeat starts from the result of the one before (the paper's algorithms take K)."),
    "steps": ("Solver steps N", "How many steps the solver needs from t0 to 0: their number is what an edit costs."),
    "editing": (
        "Strokes on pictures",
        "A region is painted over, and only there may a method change the picture (section 4.2 of the paper).",
    ),
    "compositing": (
        "Parts pasted into pictures",
        "A region of another picture is pasted in, and only there may a method change it (table 3 of the paper).",
    ),
}
METHODS = {
    "sdedit": "SDEdit",
    "guide": "the guide itself",
    "blur": "Gaussian blur",
    "unconditional": "unconditional sample",
    "laplacian": "Laplacian blending",
    "poisson": "Poisson blending",
    "gan-1": "GAN-1, encoder",
    "gan-2": "GAN-2, optimised",
}
COMMON = {
    "model": "model",
    "solver": "solver",
    "count": "held-out pictures",
    "num_real": "real pictures, of the training split",
}
SETTINGS = {
    "num_colors": "colours",
    "t0": "t0",
    "num_steps": "steps",
    "num_repeats": "repeats",
    "gan": "GAN",
    "seed": "seed",
}
HIGHER_IS_BETTER = ("precision", "recall")
FAITHFULNESS = ("L2", "L2, edited", "LPIPS", "masked LPIPS")
READING = (
    "KID and the other comparisons of features say how close the edits together are to real pictures: realism. L2 and "
    "LPIPS say how far each edit is from its guide: faithfulness. ↓ lower is better, ↑ higher is better; of all that "
    "start from the same guides the best is bold. The guide itself, at distance 0, does not compete in faithfulness. "
    "± is one standard deviation: of KID over its random subsets, of L2 and LPIPS over the pictures."
)


def kind(metric: str) -> str:
    """The metric of a full name: ``KID`` of ``KID (VGG16, 64 px)``."""
    return metric.partition(" (")[0]


def with_arrow(metric: str) -> str:
    """The full name, and whether more or less of it is better."""
    return f"{metric} {'↑' if kind(metric) in HIGHER_IS_BETTER else '↓'}"
