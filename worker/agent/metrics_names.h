// Names of the worker's Prometheus metrics. Base units; bounded labels.
//
// Series named cherry_job_... live on the worker of rank 0 and go with the job.
#ifndef CHERRY_WORKER_AGENT_METRICS_NAMES_H_
#define CHERRY_WORKER_AGENT_METRICS_NAMES_H_

namespace cherry::worker {

inline constexpr char kJobStep[] = "cherry_job_step";
inline constexpr char kJobTokensTotal[] = "cherry_job_tokens_total";
inline constexpr char kJobSupervisedTokensTotal[] = "cherry_job_supervised_tokens_total";
inline constexpr char kJobLoss[] = "cherry_job_loss";
inline constexpr char kJobStepSeconds[] = "cherry_job_step_seconds";
inline constexpr char kJobModelFlopsRatio[] = "cherry_job_model_flops_ratio";
inline constexpr char kJobGradientNorm[] = "cherry_job_gradient_norm";
inline constexpr char kJobGradientCoupling[] = "cherry_job_gradient_coupling";  // measure
inline constexpr char kJobRecovery[] = "cherry_job_recovery";
inline constexpr char kJobExpertLoad[] = "cherry_job_expert_load";  // expert
inline constexpr char kJobRouterEntropy[] = "cherry_job_router_entropy";
inline constexpr char kJobDraftAcceptance[] = "cherry_job_draft_acceptance";  // position
inline constexpr char kJobWave[] = "cherry_job_wave";
inline constexpr char kJobCheckpointStallSeconds[] = "cherry_job_checkpoint_stall_seconds";
inline constexpr char kJobLastCheckpointTimestamp[] = "cherry_job_last_checkpoint_timestamp_seconds";
inline constexpr char kRankPhaseSeconds[] = "cherry_rank_phase_seconds";
inline constexpr char kSlotInfo[] = "cherry_slot_info";
inline constexpr char kRootFreeBytes[] = "cherry_root_free_bytes";
inline constexpr char kRootSizeBytes[] = "cherry_root_size_bytes";
inline constexpr char kCertificateExpiryTimestamp[] = "cherry_certificate_expiry_timestamp_seconds";

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_METRICS_NAMES_H_
