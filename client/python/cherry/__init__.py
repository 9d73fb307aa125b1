"""Jobs of a Cherry cluster from Python: see cherry.client."""

from cherry.client import Client, Job, add_flags
from cherry.errors import (CherryError, Conflict, InvalidRequest, JobEnded, NotFound, Refused, SpecError, TimedOut,
                           Unreachable)
from cherry.specs import (CheckpointConfig, CompressConfig, Criterion, DataConfig, EvaluateConfig, FuseConfig, JobSpec,
                          Limits, LrScheduler, ModelConfig, MultiTokenConfig, OptimizerConfig, RankRange, RecoverConfig,
                          Resources, SgtConfig, SourceRef, TrainConfig, UnrollConfig, ValidationConfig)

__all__ = [
    "CheckpointConfig", "CherryError", "Client", "CompressConfig", "Conflict", "Criterion", "DataConfig", "EvaluateConfig",
    "FuseConfig", "InvalidRequest", "Job", "JobEnded", "JobSpec", "Limits", "LrScheduler", "ModelConfig",
    "MultiTokenConfig", "NotFound", "OptimizerConfig", "RankRange", "RecoverConfig", "Refused", "Resources", "SgtConfig",
    "SourceRef", "SpecError", "TimedOut", "TrainConfig", "Unreachable", "UnrollConfig", "ValidationConfig", "add_flags",
]
