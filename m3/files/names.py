"""The names and formats of a run's files. They stand here only. Imports nothing, so that help texts can show them."""

RUNS = "results/runs"
"""The folder of all runs of a clone of the repository."""

LAST_EXPERIMENT = "results/last_experiment.txt"
"""Names the experiment that the workflow was last used for."""

SETTINGS = "resolved-{hash}.yaml"
ANY_SETTINGS = SETTINGS.format(hash="*")
WEIGHTS = "weights.safetensors"
METRICS = "metrics.h5"
SCORES = "scores.h5"
DIAGNOSIS = "diagnosis.h5"
DATASET = "dataset.h5"
RESULTS = (WEIGHTS, METRICS, DATASET, SCORES, DIAGNOSIS)
"""What training, evaluation and diagnosis leave beside the settings."""

CHECKPOINTS = "checkpoints"
LOGS = "logs"
MEDIA = "media"
TENSORBOARD = "tensorboard"

PROGRESS = "progress.json"
FAILURE = "failure.json"
LEASE = "lease.json"
LEASE_LOCK = "lease.lock"
SNAPSHOT = "snapshot.txt"
"""Marks a folder that holds a snapshot of a run, and which the next snapshot may replace."""

SCORE_TABLE, AGGREGATES, AGGREGATES_CSV = SCORES, "aggregates.h5", "aggregates.csv"
"""A benchmark's files. Its table of scores has the name of a run's scores, and stands in another folder."""

WEIGHTS_FORMAT = "m3.weights"
METRICS_FORMAT = "m3.metrics"
SCORES_FORMAT = "m3.scores"
DIAGNOSIS_FORMAT = "m3.diagnosis"
DATASET_FORMAT, DATASET_VERSION = "m3.dataset", 2
CHECKPOINT_FORMAT = "m3.checkpoint"
