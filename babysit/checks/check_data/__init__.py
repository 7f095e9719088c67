"""Are the data finite, centered, of one scale, rightly labelled, shuffled, and prepared alike in both splits?

One pass over each split as the program's own loader gives it, ahead of any training (CS231n, lecture 6, "data
preprocessing"): inputs and targets, feature by feature, label by label, batch by batch.
"""

from babysit.checks.check_data.exhibits import exhibits
from babysit.checks.check_data.input_rules import (
    constant_features,
    feature_scales_differ,
    inputs_badly_scaled,
    inputs_not_centered,
    inputs_not_finite,
    per_batch_preprocessing,
)
from babysit.checks.check_data.label_rules import (
    class_imbalance,
    labels_out_of_range,
    missing_classes,
    targets_badly_scaled,
    unshuffled_batches,
)
from babysit.checks.check_data.leak_rules import target_leak
from babysit.checks.check_data.measure import measure
from babysit.checks.check_data.schema import Measurement, Settings
from babysit.checks.check_data.split_rules import split_overlap, split_statistics_differ

__all__ = ["BLOCKED_BY", "ORDER", "RULES", "Measurement", "Settings", "exhibits", "measure"]

ORDER = 10
BLOCKED_BY = ()
RULES = (
    inputs_not_finite,
    labels_out_of_range,
    target_leak,
    constant_features,
    feature_scales_differ,
    inputs_badly_scaled,
    inputs_not_centered,
    missing_classes,
    split_statistics_differ,
    split_overlap,
    unshuffled_batches,
    per_batch_preprocessing,
    class_imbalance,
    targets_badly_scaled,
)
