// Names of the coordinator's Prometheus metrics. One prefix, base units, bounded labels: never a job's name.
#ifndef CHERRY_COMMON_METRICS_NAMES_H_
#define CHERRY_COMMON_METRICS_NAMES_H_

namespace cherry::metrics {

inline constexpr char kJobs[] = "cherry_jobs";                             // kind, state, job_namespace
inline constexpr char kJobTransitions[] = "cherry_job_transitions_total";  // kind, to, reason
inline constexpr char kQueueWait[] = "cherry_queue_wait_seconds";
inline constexpr char kSchedule[] = "cherry_schedule_seconds";
inline constexpr char kWorkers[] = "cherry_workers";                 // state
inline constexpr char kSlots[] = "cherry_slots";                     // state
inline constexpr char kSlotSeconds[] = "cherry_slot_seconds_total";  // cause
inline constexpr char kPreemptions[] = "cherry_preemptions_total";
inline constexpr char kCheckpointsCommitted[] = "cherry_checkpoints_committed_total";
inline constexpr char kStoreSync[] = "cherry_store_sync_seconds";
inline constexpr char kRpc[] = "cherry_rpc_seconds";       // method, code
inline constexpr char kBuildInfo[] = "cherry_build_info";  // version

}  // namespace cherry::metrics

#endif  // CHERRY_COMMON_METRICS_NAMES_H_
