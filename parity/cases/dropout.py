"""Dropout: in training the suite compares distributions, in evaluation numbers."""

from parity.case import Case, normal

CASES = (
    Case("Dropout", inputs=(normal(8, 6, mean=2.0, std=0.5),)),
    Case("Dropout", (0.2,), inputs=(normal(5, 7, mean=2.0, std=0.5),)),
    Case("Dropout", (0.0,), inputs=(normal(3, 4),)),
    Case("Dropout", (1.0,), inputs=(normal(3, 4),)),
    Case("Dropout", (0.9, True), inputs=(normal(40, mean=2.0),), note="inplace has no effect"),
    Case("Dropout1d", (0.4,), inputs=(normal(4, 3, 5, mean=2.0, std=0.5),)),
    Case("Dropout1d", inputs=(normal(6, 5, mean=2.0, std=0.5),), note="no batch"),
    Case("Dropout2d", (0.3,), inputs=(normal(4, 3, 2, 3, mean=2.0, std=0.5),)),
    Case("Dropout2d", (1.0,), inputs=(normal(2, 3, 2, 3),)),
    Case("Dropout3d", (0.6,), inputs=(normal(3, 2, 2, 1, 3, mean=2.0, std=0.5),)),
    Case("Dropout3d", inputs=(normal(5, 2, 1, 3, mean=2.0, std=0.5),), note="no batch"),
    Case("Dropout", inputs=(normal(0, 3),), note="empty batch"),
    Case("functional.dropout", (0.5, False), inputs=(normal(4, 5),)),
    Case("functional.dropout", (0.0, True), inputs=(normal(4, 5),)),
    Case("functional.dropout", (1.0,), inputs=(normal(4, 5),)),
    Case("functional.dropout1d", (0.5, False), inputs=(normal(4, 3, 5),)),
    Case("functional.dropout2d", (1.0, True), inputs=(normal(2, 3, 4, 5),)),
    Case("functional.dropout3d", (), {"training": False}, inputs=(normal(2, 3, 4, 5),)),
    Case("AlphaDropout", inputs=(normal(8, 6, mean=2.0, std=0.5),)),
    Case("AlphaDropout", (0.2,), inputs=(normal(5, 7, mean=-1.0, std=0.5),)),
    Case("AlphaDropout", (0.0,), inputs=(normal(3, 4),)),
    Case("AlphaDropout", (1.0, True), inputs=(normal(3, 4),)),
    Case("AlphaDropout", inputs=(normal(),), note="0-d"),
    Case("AlphaDropout", inputs=(normal(0, 3),), note="empty batch"),
    Case("FeatureAlphaDropout", (0.3,), inputs=(normal(4, 3, 2, 1, 3, mean=2.0, std=0.5),)),
    Case(
        "FeatureAlphaDropout", (0.6,), inputs=(normal(4, 3, 5, mean=2.0, std=0.5),), note="the first axis is the batch"
    ),
    Case("FeatureAlphaDropout", (0.4, True), inputs=(normal(6, 5),)),
    Case("FeatureAlphaDropout", (1.0,), inputs=(normal(2, 3, 2, 3),)),
    Case("functional.alpha_dropout", inputs=(normal(4, 5),), note="evaluation is the default"),
    Case("functional.alpha_dropout", (1.0, True), inputs=(normal(4, 5),)),
    Case("functional.feature_alpha_dropout", (0.5, False), inputs=(normal(5),), note="any shape in evaluation"),
    Case("functional.feature_alpha_dropout", (0.0, True), inputs=(normal(5),)),
    Case("functional.dropout2d", (0.5, False), inputs=(normal(5),), note="any shape in evaluation"),
    Case("functional.dropout3d", (0.5, False), inputs=(normal(),), note="any shape in evaluation"),
)
